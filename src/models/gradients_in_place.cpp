#include "lockstep/models/gradients_in_place.h"

#include <ATen/ATen.h>

#include <utility>

namespace lockstep {
namespace {

thread_local bool is_active = false;

}  // namespace

GradientsInPlace::GradientsInPlace() : before_(std::exchange(is_active, true)) {}

GradientsInPlace::~GradientsInPlace() { is_active = before_; }

bool GradientsInPlace::active() { return is_active; }

at::Tensor gradient_to_add_to(const at::Tensor& parameter) {
  return parameter.is_leaf() ? parameter.grad() : at::Tensor();
}

}  // namespace lockstep
