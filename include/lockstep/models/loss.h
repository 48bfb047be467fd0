#pragma once

#include <ATen/core/Tensor.h>

#include "lockstep/models/batch.h"

namespace lockstep::models {

/// The labelled positions of a batch: those whose label is not kIgnoredLabel.
struct LabelledPositions {
  explicit LabelledPositions(const Batch& batch);

  /// Which of the packed tokens are at these positions: [positions] int64; undefined if all are. Only they need a head.
  at::Tensor among(const PackedRows& packed) const;
  /// Sums per-position values [positions] for each row of the batch: [batch].
  at::Tensor sum_by_row(const at::Tensor& values) const;

  at::Tensor indices;  // [positions] int64, into the flattened batch
  at::Tensor labels;   // [positions] int64
  std::int64_t rows;
  std::int64_t length;
};

/// soft_cap x tanh(logits / soft_cap) (Gemma Team 2024); with a soft cap of 0, the logits themselves.
at::Tensor soft_capped(const at::Tensor& logits, double soft_cap);

/// A model's last layer: the soft-capped hidden weight^T + bias.
struct OutputHead {
  at::Tensor weight;  // [vocabulary, features]
  at::Tensor bias;    // [vocabulary]; undefined: none
  double soft_cap = 0;

  /// [..., features] to [..., vocabulary].
  at::Tensor logits(const at::Tensor& hidden) const;
};

/// At most so many positions' logits are in memory at a time; fewer where the vocabulary is large. Of 512, a GPT-2 of
/// 124 million parameters was as fast on two cores, within 0.5 %, and had a peak of 100 MB more.
inline constexpr std::int64_t kHeadChunk = 384;
/// What these take, in bytes, of a loss over so many positions.
double logits_bytes(double positions, double vocabulary);

/// Negative log-likelihood of `labels` [positions] behind `hidden` [positions, features]: a scalar, the sum. Gradients
/// are computed together with it, chunk by chunk, so that no tensor is as large as positions x vocabulary. Its gradient
/// is there once: a second backward pass throws Error.
/// With `smoothing`, a position's loss is (1 - smoothing) x that of its label + smoothing x the mean over the
/// vocabulary (Szegedy et al. 2016; transformers' LabelSmoother).
at::Tensor negative_log_likelihood(const at::Tensor& hidden, const OutputHead& head, const at::Tensor& labels,
                                   double smoothing = 0);
/// The same for each position, [positions], without a gradient.
at::Tensor negative_log_likelihoods(const at::Tensor& hidden, const OutputHead& head, const at::Tensor& labels,
                                    double smoothing = 0);

/// Under `logits` [positions, vocabulary]: a scalar, the sum.
at::Tensor negative_log_likelihood(const at::Tensor& logits, const at::Tensor& labels, double smoothing = 0);
/// The same for each position, [positions].
at::Tensor negative_log_likelihoods(const at::Tensor& logits, const at::Tensor& labels, double smoothing = 0);

}  // namespace lockstep::models
