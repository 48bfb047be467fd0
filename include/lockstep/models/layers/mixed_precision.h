#pragma once

#include <ATen/core/Tensor.h>

#include <unordered_map>

namespace lockstep::models {

/// Returns whether this machine's CPU has instructions for matrix products in `type`. Without them, products in bf16
/// and fp16 are slow.
bool cpu_has(at::ScalarType type);

/// Caches weights rounded to bf16 or fp16, so that each is rounded only once until it changes.
class RoundedWeights {
 public:
  /// `type` is kBFloat16 or kHalf. Without `keeps`, nothing is cached and each request rounds again: needed where the
  /// memory of weights is freed and reallocated.
  explicit RoundedWeights(at::ScalarType type = at::kBFloat16, bool keeps = true) : type_(type), keeps_(keeps) {}
  at::ScalarType type() const { return type_; }
  bool keeps() const { return keeps_; }
  /// Returns `weight` rounded, without an autograd graph.
  at::Tensor get(const at::Tensor& weight);
  /// Empties the cache. Must be called whenever weights have changed.
  void clear() { kept_.clear(); }

 private:
  at::ScalarType type_;
  bool keeps_;
  std::unordered_map<const at::TensorImpl*, at::Tensor> kept_;
};

}  // namespace lockstep::models
