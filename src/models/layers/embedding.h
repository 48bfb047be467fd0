#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <optional>

#include "lockstep/models/layers/pass.h"

namespace lockstep::models {

/// Represents an embedding table, with a weight [count, features].
struct Embedding : torch::nn::Module {
  /// `padding_id` names a row that gets no gradient from lookups.
  Embedding(std::int64_t count, std::int64_t features, std::optional<std::int64_t> padding_id = std::nullopt);
  at::Tensor forward(const at::Tensor& ids, const Pass& pass) const;
  at::Tensor weight;
  std::optional<std::int64_t> padding_id;
};

}  // namespace lockstep::models
