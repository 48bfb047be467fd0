#pragma once

#include <ATen/core/Tensor.h>
#include <optional>

namespace lockstep::models {

/// While an instance exists, the backward pass of what this thread computes adds the gradients of parameters directly
/// to existing Tensor::grad() tensors (a linear layer within its matrix product) instead of handing autograd a new
/// tensor for each. torch::autograd::grad() does not see these gradients. Intended for training loops, which own the
/// gradients.
class GradientsInPlace {
 public:
  /// `loss_scale` promises that backward() follows at once, on the loss times `loss_scale`. The output head, which
  /// computes its gradients together with the loss, then adds them in the forward pass and needs no second tensor of
  /// the size of its weight.
  explicit GradientsInPlace(std::optional<double> loss_scale = {});
  ~GradientsInPlace();
  GradientsInPlace(const GradientsInPlace&) = delete;
  GradientsInPlace& operator=(const GradientsInPlace&) = delete;

  /// Returns whether an instance exists on this thread.
  static bool active();
  /// Returns the loss scale of the innermost instance on this thread; none if there is no instance or it has none.
  static std::optional<double> loss_scale();

 private:
  const GradientsInPlace* const before_;
  const std::optional<double> loss_scale_;
};

/// Returns the tensor to which a backward pass adds the gradient of `parameter` in place; undefined if there is none
/// and the gradient must be returned to autograd.
at::Tensor gradient_to_add_to(const at::Tensor& parameter);

}  // namespace lockstep::models
