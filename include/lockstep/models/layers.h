#pragma once

#include <torch/torch.h>

#include <optional>
#include <string>

namespace lockstep {

/// y = x W^T (+ b), weight [out, in].
struct Linear : torch::nn::Module {
  Linear(std::int64_t in, std::int64_t out, bool has_bias);
  at::Tensor forward(const at::Tensor& x) const { return at::linear(x, weight, bias); }
  at::Tensor weight, bias;
};

/// y = x W + b, weight [in, out]: GPT-2's way to store a linear layer.
struct Conv1D : torch::nn::Module {
  Conv1D(std::int64_t in, std::int64_t out);
  at::Tensor forward(const at::Tensor& x) const;
  at::Tensor weight, bias;
};

/// weight [count, features].
struct Embedding : torch::nn::Module {
  Embedding(std::int64_t count, std::int64_t features);
  at::Tensor forward(const at::Tensor& ids) const { return at::embedding(weight, ids); }
  at::Tensor weight;
};

/// Scaled to mean square 1, without mean or bias (Zhang and Sennrich 2019): T5's layer norm.
struct RmsNorm : torch::nn::Module {
  RmsNorm(std::int64_t features, double epsilon);
  at::Tensor forward(const at::Tensor& x) const;
  at::Tensor weight;
  double epsilon;
};

struct LayerNorm : torch::nn::Module {
  LayerNorm(std::int64_t features, double epsilon);
  at::Tensor forward(const at::Tensor& x) const;
  at::Tensor weight, bias;
  double epsilon;
};

/// An activation by the name that config.json gives it. Throws InputError, listing those known, for another.
using Activation = at::Tensor (*)(const at::Tensor&);
Activation activation_by_name(const std::string& name);

/// Fills a parameter with normal numbers of mean 0.
void fill_normal(const at::Tensor& parameter, double standard_deviation, const at::Generator& generator);

}  // namespace lockstep
