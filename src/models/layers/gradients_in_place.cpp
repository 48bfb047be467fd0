#include "lockstep/models/layers/gradients_in_place.h"

#include <ATen/ATen.h>

namespace lockstep::models {

at::Tensor gradient_to_add_to(const at::Tensor& parameter) {
  return parameter.is_leaf() ? parameter.grad() : at::Tensor();
}

}  // namespace lockstep::models
