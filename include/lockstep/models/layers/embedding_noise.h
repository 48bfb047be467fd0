#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <span>
#include <vector>

#include "lockstep/models/layers/packed_rows.h"

namespace lockstep::models {

/// Distinguishes the embeddings of a model, which get different noise.
enum class Embedded : std::uint64_t { kInput = 1, kDecoderInput = 2 };

/// Adds NEFTune noise (Jain et al. 2023) to the embeddings during training: uniform in +-alpha / sqrt(length x
/// features), where `length` is the number of tokens of the row, as in the paper. (transformers uses the padded length,
/// so there a row's noise depends on the rest of its batch; and since version 5 it adds none to T5, whose stacks have
/// embedding modules of their own.) The noise is a pure function of (seed, step, example, position, feature): it does
/// not depend on the number of ranks or the division into micro-batches.
class EmbeddingNoise {
 public:
  /// Creates noise that adds nothing.
  EmbeddingNoise() = default;
  /// Creates the noise of one pass over the examples in `example_ids` [rows]. An `alpha` of 0 adds nothing.
  EmbeddingNoise(double alpha, std::uint64_t seed, std::uint64_t step, std::span<const std::uint64_t> example_ids);

  /// Returns `x` [tokens of `rows`, features] with noise added. `whole` has all tokens of the same rows: their number
  /// sets the amplitude.
  at::Tensor add_to(const at::Tensor& x, const PackedRows& rows, const PackedRows& whole, Embedded embedded) const;

 private:
  double alpha_ = 0;
  std::vector<std::int64_t> row_keys_;  // [rows]
};

}  // namespace lockstep::models
