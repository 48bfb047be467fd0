#pragma once

#include <torch/torch.h>

#include <memory>
#include <optional>
#include <string>

#include "lockstep/models/dropout.h"
#include "lockstep/models/operand.h"

namespace lockstep {

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
  // project(), in bf16 or adding to gradients in place where this thread is to (models/mixed_precision.h,
  // models/gradients_in_place.h).
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

/// weight [count, features].
struct Embedding : torch::nn::Module {
  /// `padding_id`: the row that lookups give no gradient, and that is born as 0.
  Embedding(std::int64_t count, std::int64_t features, std::optional<std::int64_t> padding_id = std::nullopt);
  at::Tensor forward(const at::Tensor& ids) const;
  at::Tensor weight;
  std::optional<std::int64_t> padding_id;
};

struct Norm : torch::nn::Module {
  virtual at::Tensor forward(const at::Tensor& x) const = 0;
  /// For linear layers alone.
  Operand operand(const at::Tensor& x) const;
  at::Tensor weight;
};

/// Scaled to mean square 1, without mean or bias (Zhang and Sennrich 2019): T5's layer norm. With `offset`, the scale
/// is 1 + weight, and weights are born as 0: Gemma's.
struct RmsNorm final : Norm {
  RmsNorm(std::int64_t features, double epsilon, bool offset = false);
  at::Tensor forward(const at::Tensor& x) const override;
  double epsilon;
  bool offset;
};

/// Mean 0 and variance 1 (Ba et al. 2016). Not `affine`: without weight and bias.
struct LayerNorm final : Norm {
  LayerNorm(std::int64_t features, double epsilon, bool affine = true);
  at::Tensor forward(const at::Tensor& x) const override;
  at::Tensor bias;
  double epsilon;
};

/// Registers `child` in `parent` below a path with dots, "attn.attention.q_proj"; modules on the way are made where
/// they are missing.
template <class Module>
std::shared_ptr<Module> register_at(torch::nn::Module& parent, const std::string& path, std::shared_ptr<Module> child) {
  const auto dot = path.find('.');
  if (dot == std::string::npos) return parent.register_module(path, std::move(child));
  const std::string first = path.substr(0, dot);
  const auto children = parent.named_children();
  auto next =
      children.contains(first) ? children[first] : parent.register_module(first, std::make_shared<torch::nn::Module>());
  return register_at(*next, path.substr(dot + 1), std::move(child));
}

/// Fills a parameter with normal numbers of mean 0.
void fill_normal(const at::Tensor& parameter, double standard_deviation, const at::Generator& generator);

}  // namespace lockstep
