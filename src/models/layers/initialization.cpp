#include "models/layers/initialization.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace lockstep::models {

void fill_normal(const at::Tensor& parameter, double standard_deviation, const at::Generator& generator) {
  const at::NoGradGuard no_grad;
  parameter.normal_(0, standard_deviation, generator);
}

}  // namespace lockstep::models
