#pragma once

#include <ATen/core/Tensor.h>
#include <cstddef>

namespace lockstep {

/// Is told when a model's layers compute, so that their parameters may be somewhere else in between.
class LayerObserver {
 public:
  virtual ~LayerObserver() = default;
  /// Layer `layer` is about to compute on `x`.
  virtual void before_layer(std::size_t layer, const at::Tensor& x) = 0;
  /// It has computed `y`.
  virtual void after_layer(std::size_t layer, const at::Tensor& y) = 0;
};

/// What `compute` makes of `x` as layer `layer`. The observer may be null.
template <class Compute>
at::Tensor run_layer(LayerObserver* observer, std::size_t layer, const at::Tensor& x, const Compute& compute) {
  if (observer != nullptr) observer->before_layer(layer, x);
  at::Tensor y = compute(x);
  if (observer != nullptr) observer->after_layer(layer, y);
  return y;
}

}  // namespace lockstep
