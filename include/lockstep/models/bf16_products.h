#pragma once

#include <ATen/core/Tensor.h>

#include <unordered_map>

#include "lockstep/models/operand.h"

namespace lockstep {

/// Whether this machine's CPU has instructions for products in bf16. Without them they are slow.
bool cpu_has_bf16();

/// Weights rounded to bf16, so that each is rounded once until it changes.
class RoundedWeights {
 public:
  /// Not `keeps`: rounds each time that one is asked for, where the memory of weights comes and goes.
  explicit RoundedWeights(bool keeps = true) : keeps_(keeps) {}
  bool keeps() const { return keeps_; }
  /// `weight` rounded, without a graph.
  at::Tensor of(const at::Tensor& weight);
  /// To be called when weights have changed.
  void forget() { kept_.clear(); }

 private:
  bool keeps_;
  std::unordered_map<const at::TensorImpl*, at::Tensor> kept_;
};

/// While it lives, the linear layers and heads that this thread runs multiply in bf16 and sum in fp32: mixed precision
/// (Micikevicius et al. 2018, with bf16). What they give, gradients among it, is fp32, and so is all between them:
/// norms, attention, activations, the loss, the weights themselves. As at::NoGradGuard, it is nested and of its thread.
class Bf16Products {
 public:
  /// `weights` outlives it. Null: products are as they were.
  explicit Bf16Products(RoundedWeights* weights);
  ~Bf16Products();
  Bf16Products(const Bf16Products&) = delete;
  Bf16Products& operator=(const Bf16Products&) = delete;

  /// Of this thread; null: products in fp32.
  static RoundedWeights* current();

 private:
  RoundedWeights* before_;
};

/// x W^T + bias by current(), which is not null; `weight` is [out, in], or [in, out] with `is_transposed`, `bias` may
/// be undefined. fp32.
at::Tensor linear_in_bf16(const Operand& operand, const at::Tensor& weight, const at::Tensor& bias, bool is_transposed);

}  // namespace lockstep
