#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <optional>

namespace lockstep::models {

/// weight [count, features].
struct Embedding : torch::nn::Module {
  /// `padding_id`: the row that lookups give no gradient, and that is born as 0.
  Embedding(std::int64_t count, std::int64_t features, std::optional<std::int64_t> padding_id = std::nullopt);
  at::Tensor forward(const at::Tensor& ids) const;
  at::Tensor weight;
  std::optional<std::int64_t> padding_id;
};

}  // namespace lockstep::models
