#pragma once

#include <ATen/core/Tensor.h>

#include "lockstep/models/batch.h"

namespace lockstep {

/// The labelled positions of a batch: those whose label is not kIgnoredLabel.
struct LabelledPositions {
  explicit LabelledPositions(const Batch& batch);

  /// The rows of `hidden` [batch, length, features] at these positions: [positions, features]. Only they need a head.
  at::Tensor select(const at::Tensor& hidden) const;
  /// Sums per-position values [positions] for each row of the batch: [batch].
  at::Tensor sum_by_row(const at::Tensor& values) const;

  at::Tensor indices;  // [positions] int64, into the flattened batch
  at::Tensor labels;   // [positions] int64
  std::int64_t rows;
  std::int64_t length;
};

/// Negative log-likelihood of `labels` [positions] under `logits` [positions, vocabulary]: a scalar, the sum.
at::Tensor negative_log_likelihood(const at::Tensor& logits, const at::Tensor& labels);
/// The same for each position, [positions].
at::Tensor negative_log_likelihoods(const at::Tensor& logits, const at::Tensor& labels);

}  // namespace lockstep
