#pragma once

#include <ATen/core/Tensor.h>

#include <unordered_map>

#include "lockstep/models/layers/operand.h"

namespace lockstep::models {

/// Whether this machine's CPU has instructions for products in `type`. Without them, those in bf16 and fp16 are slow.
bool cpu_has(at::ScalarType type);

/// Weights rounded to bf16 or fp16, so that each is rounded once until it changes.
class RoundedWeights {
 public:
  /// `type`: kBFloat16 or kHalf. Not `keeps`: rounds each time that one is asked for, where the memory of weights comes
  /// and goes.
  explicit RoundedWeights(at::ScalarType type = at::kBFloat16, bool keeps = true) : type_(type), keeps_(keeps) {}
  at::ScalarType type() const { return type_; }
  bool keeps() const { return keeps_; }
  /// `weight` rounded, without a graph.
  at::Tensor of(const at::Tensor& weight);
  /// To be called when weights have changed.
  void forget() { kept_.clear(); }

 private:
  at::ScalarType type_;
  bool keeps_;
  std::unordered_map<const at::TensorImpl*, at::Tensor> kept_;
};

/// While it lives, the linear layers and heads that this thread runs, and on a GPU attention, multiply in bf16 or fp16
/// and sum in fp32: mixed precision (Micikevicius et al. 2018). What they give, gradients among it, is fp32, and so is
/// all between them: norms, softmax, activations, the loss, the weights themselves, on the host attention. As
/// at::NoGradGuard, it is nested and of its thread; a layer that is computed again has the one that it had before.
class MixedPrecision {
 public:
  /// `weights` outlives it. Null: products are as they were.
  explicit MixedPrecision(RoundedWeights* weights);
  ~MixedPrecision();
  MixedPrecision(const MixedPrecision&) = delete;
  MixedPrecision& operator=(const MixedPrecision&) = delete;

  /// Of this thread; null: products in fp32.
  static RoundedWeights* current();

 private:
  RoundedWeights* before_;
};

/// x W^T + bias with current(), which is not null; `weight` is [out, in], or [in, out] with `is_transposed`, `bias` may
/// be undefined. fp32.
at::Tensor linear_in_mixed_precision(const Operand& operand, const at::Tensor& weight, const at::Tensor& bias,
                                     bool is_transposed);

}  // namespace lockstep::models
