#pragma once

#include <ATen/core/Tensor.h>
#include <optional>

namespace lockstep::models {

/// While one exists, what this thread computes forward adds its parameters' gradients to those that are there, with the
/// product that makes them, rather than hand autograd a tensor of each to be added: backward() fills Tensor::grad() of
/// parameters that have one, and torch::autograd::grad() would not see them. For training loops, which own the
/// gradients.
class GradientsInPlace {
 public:
  /// `loss_scale`: that backward() will be of the loss times it, and follow at once. The output head, whose gradients
  /// are computed with the loss, then adds them with it, and holds no second tensor of the size of its weight.
  explicit GradientsInPlace(std::optional<double> loss_scale = {});
  ~GradientsInPlace();
  GradientsInPlace(const GradientsInPlace&) = delete;
  GradientsInPlace& operator=(const GradientsInPlace&) = delete;

  /// Whether the backward pass of what is computed now is to do so.
  static bool active();
  static std::optional<double> loss_scale();

 private:
  const GradientsInPlace* const before_;
  const std::optional<double> loss_scale_;
};

/// Where such a backward pass adds the gradient of `parameter`; undefined: nowhere, it returns it.
at::Tensor gradient_to_add_to(const at::Tensor& parameter);

}  // namespace lockstep::models
