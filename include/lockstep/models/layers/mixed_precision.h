#pragma once

#include <ATen/core/Tensor.h>

#include <unordered_map>

#include "lockstep/models/layers/operand.h"

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

/// While an instance exists, the linear layers and heads that this thread runs, and on a GPU attention, multiply in
/// bf16 or fp16 and accumulate in fp32: mixed precision (Micikevicius et al. 2018). Their outputs and gradients are
/// fp32, and so is everything else: norms, softmax, activations, the loss, the weights themselves, and attention on the
/// host. Like at::NoGradGuard, instances nest and are local to a thread; a recomputed layer uses the instance of its
/// forward pass.
class MixedPrecision {
 public:
  /// `weights` must outlive the instance. If null, the precision stays as it was.
  explicit MixedPrecision(RoundedWeights* weights);
  ~MixedPrecision();
  MixedPrecision(const MixedPrecision&) = delete;
  MixedPrecision& operator=(const MixedPrecision&) = delete;

  /// Returns the rounded weights in use on this thread; null if products are computed in fp32.
  static RoundedWeights* current();

 private:
  RoundedWeights* before_;
};

/// Returns x W^T + bias in fp32, computed with MixedPrecision::current(), which must not be null. `bias` may be
/// undefined. `weight` is [out, in], or [in, out] if `is_transposed`.
at::Tensor linear_in_mixed_precision(const Operand& operand, const at::Tensor& weight, const at::Tensor& bias,
                                     bool is_transposed);

}  // namespace lockstep::models
