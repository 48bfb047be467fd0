#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <optional>

#include "lockstep/models/layers/operand.h"
#include "lockstep/models/layers/pass.h"

namespace lockstep::models {

/// Holds the term that a LoRA adapter adds to a linear layer (Hu et al. 2021): scale x B A dropout(x).
struct LowRankTerm {
  at::Tensor a, b;  // [rank, in], [out, rank]
  double scale = 1;
  double dropout = 0;
};

/// Represents a linear layer whose weight has the layout that transformers stores, with an optional adapter term.
struct Projection : torch::nn::Module {
  /// Returns the layer's output, including the adapter's term.
  at::Tensor forward(const Operand& operand, Pass& pass) const;
  /// Returns the layer's output without the adapter's term.
  virtual at::Tensor project(const at::Tensor& x) const = 0;
  /// Returns whether the weight is [in, out] rather than [out, in].
  virtual bool is_transposed() const = 0;
  std::int64_t in_features() const { return weight.size(is_transposed() ? 0 : 1); }
  std::int64_t out_features() const { return weight.size(is_transposed() ? 1 : 0); }

  at::Tensor weight, bias;  // bias is undefined if there is none
  std::optional<LowRankTerm> low_rank;

 private:
  // Computes project(), but in mixed precision or with gradients added in place if `pass` says so.
  at::Tensor project_for_training(const Operand& operand, const Pass& pass) const;
};

/// Computes y = x W^T (+ b) with a weight [out, in].
struct Linear final : Projection {
  Linear(std::int64_t in, std::int64_t out, bool has_bias);
  at::Tensor project(const at::Tensor& x) const override { return at::linear(x, weight, bias); }
  bool is_transposed() const override { return false; }
};

/// Computes y = x W + b with a weight [in, out], the layout of GPT-2's linear layers.
struct Conv1D final : Projection {
  Conv1D(std::int64_t in, std::int64_t out);
  at::Tensor project(const at::Tensor& x) const override;
  bool is_transposed() const override { return true; }
};

}  // namespace lockstep::models
