#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <optional>

#include "lockstep/models/layers/dropout.h"
#include "lockstep/models/layers/operand.h"

namespace lockstep::models {

/// What a LoRA adapter adds to a linear layer (Hu et al. 2021): scale x B A dropout(x).
struct LowRankTerm {
  at::Tensor a, b;  // [rank, in], [out, rank]
  double scale = 1;
  double dropout = 0;
};

/// A linear layer, in the layout in which transformers stores its weight, with the term of an adapter if it has one.
struct Projection : torch::nn::Module {
  at::Tensor forward(const Operand& operand, Dropout& dropout) const;
  /// Without the adapter's term.
  virtual at::Tensor project(const at::Tensor& x) const = 0;
  /// Whether the weight is [in, out] rather than [out, in].
  virtual bool is_transposed() const = 0;
  std::int64_t in_features() const { return weight.size(is_transposed() ? 0 : 1); }
  std::int64_t out_features() const { return weight.size(is_transposed() ? 1 : 0); }

  at::Tensor weight, bias;  // bias: undefined if it has none
  std::optional<LowRankTerm> low_rank;

 private:
  // project(), in bf16 or adding to gradients in place where this thread is to (models/layers/mixed_precision.h,
  // models/layers/gradients_in_place.h).
  at::Tensor project_as_asked(const Operand& operand) const;
};

/// y = x W^T (+ b), weight [out, in].
struct Linear final : Projection {
  Linear(std::int64_t in, std::int64_t out, bool has_bias);
  at::Tensor project(const at::Tensor& x) const override { return at::linear(x, weight, bias); }
  bool is_transposed() const override { return false; }
};

/// y = x W + b, weight [in, out]: GPT-2's way to store a linear layer.
struct Conv1D final : Projection {
  Conv1D(std::int64_t in, std::int64_t out);
  at::Tensor project(const at::Tensor& x) const override;
  bool is_transposed() const override { return true; }
};

}  // namespace lockstep::models
