#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "lockstep/models/layers/operand.h"
#include "lockstep/models/layers/pass.h"

namespace lockstep::models {

struct Norm : torch::nn::Module {
  virtual at::Tensor forward(const at::Tensor& x) const = 0;
  /// Returns forward(x) as an operand, which only linear layers may consume.
  Operand operand(const at::Tensor& x, const Pass& pass) const;
  at::Tensor weight;
};

/// Scales x to a mean square of 1, without centring or bias (Zhang and Sennrich 2019), as in T5. With `offset`, as in
/// Gemma, the factor is 1 + weight and weights are initialised to 0.
struct RmsNorm final : Norm {
  RmsNorm(std::int64_t features, double epsilon, bool offset = false);
  at::Tensor forward(const at::Tensor& x) const override;
  double epsilon;
  bool offset;
};

/// Normalises x to mean 0 and variance 1 (Ba et al. 2016). Has no weight and no bias unless `affine`.
struct LayerNorm final : Norm {
  LayerNorm(std::int64_t features, double epsilon, bool affine = true);
  at::Tensor forward(const at::Tensor& x) const override;
  at::Tensor bias;
  double epsilon;
};

}  // namespace lockstep::models
