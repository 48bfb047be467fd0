#pragma once

#include <ATen/core/Tensor.h>

#include <unordered_map>

#include "lockstep/models/layers/operand.h"
#include "lockstep/models/layers/pass.h"

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
  at::Tensor of(const at::Tensor& weight);
  /// Empties the cache. Must be called whenever weights have changed.
  void forget() { kept_.clear(); }

 private:
  at::ScalarType type_;
  bool keeps_;
  std::unordered_map<const at::TensorImpl*, at::Tensor> kept_;
};

/// Returns x W^T + bias in fp32, computed with `pass.rounded_weights`, which must not be null. `bias` may be
/// undefined. `weight` is [out, in], or [in, out] if `is_transposed`.
at::Tensor linear_in_mixed_precision(const Operand& operand, const at::Tensor& weight, const at::Tensor& bias,
                                     bool is_transposed, const Pass& pass);

}  // namespace lockstep::models
