#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/models/layers/operand.h"
#include "lockstep/models/layers/pass.h"

namespace lockstep::models {

/// What a linear layer computes in its model, whatever its name in transformers.
enum class ProjectionRole {
  kQuery,
  kKey,
  kValue,
  kQueryKeyValue,
  kAttentionOutput,
  kMlpGate,
  kMlpUp,
  kMlpGateUp,
  kMlpDown,
  kEmbeddingIn,   // of the embedding, where it has other features than the layers
  kEmbeddingOut,  // back to the embedding's features, before the head
  kHead,
};
/// The tokens to which a linear layer is applied.
enum class TokenStream {
  kInput,   // of the encoder's source, or of a decoder-only model's sequence
  kTarget,  // of an encoder-decoder model's target
  kLabels,  // only those with a label
};
/// The place of a linear layer in its model, from which its cost follows.
struct ProjectionUse {
  ProjectionRole role;
  TokenStream stream;
  bool is_cross = false;  // part of cross-attention
};

/// Holds the term that a LoRA adapter adds to a linear layer (Hu et al. 2021): scale x B A dropout(x).
struct LowRankTerm {
  at::Tensor a, b;  // [rank, in], [out, rank]
  double scale = 1;
  double dropout = 0;
};

/// Represents a linear layer whose weight has the layout that transformers stores, with an optional adapter term.
struct Projection : torch::nn::Module {
  explicit Projection(ProjectionUse use_) : use(use_) {}
  /// Returns the layer's output, including the adapter's term.
  at::Tensor forward(const Operand& operand, Pass& pass) const;
  /// Returns the layer's output without the adapter's term.
  virtual at::Tensor project(const at::Tensor& x) const = 0;
  /// Returns whether the weight is [in, out] rather than [out, in].
  virtual bool is_transposed() const = 0;
  std::int64_t in_features() const { return weight.size(is_transposed() ? 0 : 1); }
  std::int64_t out_features() const { return weight.size(is_transposed() ? 1 : 0); }

  const ProjectionUse use;
  at::Tensor weight, bias;  // bias is undefined if there is none
  std::optional<LowRankTerm> low_rank;

 private:
  // Computes project(), but in mixed precision or with gradients added in place if `pass` says so.
  at::Tensor project_for_training(const Operand& operand, const Pass& pass) const;
};

/// Computes y = x W^T (+ b) with a weight [out, in].
struct Linear final : Projection {
  Linear(std::int64_t in, std::int64_t out, bool has_bias, ProjectionUse use);
  at::Tensor project(const at::Tensor& x) const override { return at::linear(x, weight, bias); }
  bool is_transposed() const override { return false; }
};

/// Computes y = x W + b with a weight [in, out], the layout of GPT-2's linear layers.
struct Conv1D final : Projection {
  Conv1D(std::int64_t in, std::int64_t out, ProjectionUse use);
  at::Tensor project(const at::Tensor& x) const override;
  bool is_transposed() const override { return true; }
};

using NamedProjection = std::pair<std::string, std::shared_ptr<Projection>>;
/// Returns the linear layers of a model by their paths, in the order of its modules.
std::vector<NamedProjection> projections_of(const torch::nn::Module& model);

}  // namespace lockstep::models
