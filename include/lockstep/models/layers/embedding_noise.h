#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <span>
#include <vector>

#include "lockstep/models/layers/packed_rows.h"

namespace lockstep::models {

/// Which embeddings of a model noise is for.
enum class Embedded : std::uint64_t { kInput = 1, kDecoderInput = 2 };

/// NEFTune (Jain et al. 2023): uniform noise on the embeddings while a model is trained, in
/// +-alpha / sqrt(length x features), where `length` is the row's own number of tokens, as in the paper. (transformers
/// takes the padded length, so that a row's noise depends on which others are in its batch; and since its version 5
/// none for T5, whose stacks look up in modules of their own.) A pure function of (seed, step, example, position,
/// feature): the same for any number of ranks and any cut into micro-batches.
class EmbeddingNoise {
 public:
  /// Adds nothing.
  EmbeddingNoise() = default;
  /// For one pass over the examples that `example_ids` [rows] names. An `alpha` of 0 adds nothing.
  EmbeddingNoise(double alpha, std::uint64_t seed, std::uint64_t step, std::span<const std::uint64_t> example_ids);

  /// `x` [tokens of `rows`, features], with its noise; `whole` has all tokens of these rows.
  at::Tensor add_to(const at::Tensor& x, const PackedRows& rows, const PackedRows& whole, Embedded embedded) const;

 private:
  double alpha_ = 0;
  std::vector<std::int64_t> row_keys_;  // [rows]
};

}  // namespace lockstep::models
