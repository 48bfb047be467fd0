#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "lockstep/models/layers/operand.h"

namespace lockstep::models {

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

}  // namespace lockstep::models
