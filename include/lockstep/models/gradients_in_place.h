#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep {

/// While one exists, what this thread computes forward adds its parameters' gradients to those that are there, with the
/// product that makes them, rather than hand autograd a tensor of each to be added: backward() fills Tensor::grad() of
/// parameters that have one, and torch::autograd::grad() would not see them. For training loops, which own the
/// gradients.
class GradientsInPlace {
 public:
  GradientsInPlace();
  ~GradientsInPlace();
  GradientsInPlace(const GradientsInPlace&) = delete;
  GradientsInPlace& operator=(const GradientsInPlace&) = delete;

  /// Whether the backward pass of what is computed now is to do so.
  static bool active();

 private:
  const bool before_;
};

/// Where such a backward pass adds the gradient of `parameter`; undefined: nowhere, it returns it.
at::Tensor gradient_to_add_to(const at::Tensor& parameter);

}  // namespace lockstep
