#include "lockstep/models/layers/gradients_in_place.h"

#include <ATen/ATen.h>

#include <utility>

namespace lockstep::models {
namespace {

thread_local const GradientsInPlace* innermost = nullptr;

}  // namespace

GradientsInPlace::GradientsInPlace(std::optional<double> loss_scale)
    : before_(std::exchange(innermost, this)), loss_scale_(loss_scale) {}

GradientsInPlace::~GradientsInPlace() { innermost = before_; }

bool GradientsInPlace::active() { return innermost != nullptr; }

std::optional<double> GradientsInPlace::loss_scale() {
  return innermost == nullptr ? std::nullopt : innermost->loss_scale_;
}

at::Tensor gradient_to_add_to(const at::Tensor& parameter) {
  return parameter.is_leaf() ? parameter.grad() : at::Tensor();
}

}  // namespace lockstep::models
