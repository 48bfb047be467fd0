#pragma once

#include <ATen/core/Tensor.h>

#include "lockstep/models/batch.h"
#include "lockstep/models/layers/pass.h"

namespace lockstep::models {

/// Holds the labelled positions of a batch: those whose label is not kIgnoredLabel.
struct LabelledPositions {
  explicit LabelledPositions(const Batch& batch);

  /// Returns the indices of the packed tokens at these positions, [positions] int64; undefined if all tokens are
  /// labelled. The head needs to run only on these.
  at::Tensor among(const PackedRows& packed) const;
  /// Sums values [positions] over each row of the batch: [batch].
  at::Tensor sum_by_row(const at::Tensor& values) const;

  at::Tensor indices;  // [positions] int64, into the flattened batch
  at::Tensor labels;   // [positions] int64
  std::int64_t rows;
  std::int64_t length;
};

/// Returns soft_cap x tanh(logits / soft_cap) (Gemma Team 2024), or the logits unchanged if the soft cap is 0.
at::Tensor soft_capped(const at::Tensor& logits, double soft_cap);

/// Represents a model's last layer, which computes soft_capped(hidden weight^T + bias).
struct OutputHead {
  at::Tensor weight;  // [vocabulary, features]
  at::Tensor bias;    // [vocabulary]; undefined if there is none
  double soft_cap = 0;

  /// Returns the logits [..., vocabulary] of hidden states [..., features].
  at::Tensor logits(const at::Tensor& hidden) const;
};

/// The largest number of positions whose logits are in memory at a time; fewer if the vocabulary is large. With 512,
/// GPT-2 of 124 million parameters was equally fast on two cores, within 0.5 %, but its memory peaked 100 MB higher.
inline constexpr std::int64_t kHeadChunk = 384;
/// Returns the memory of the logits, in bytes, during the loss of `positions` positions.
double logits_bytes(double positions, double vocabulary);

/// Returns the sum of the negative log-likelihoods of `labels` [positions] given `hidden` [positions, features], a
/// scalar. Gradients are computed together with the loss, chunk by chunk, so no tensor has the size positions x
/// vocabulary; a second backward pass throws Error. With a label smoothing s, the loss of a position is (1 - s) x the
/// loss of its label + s x the mean loss over the vocabulary (Szegedy et al. 2016; transformers' LabelSmoother).
at::Tensor negative_log_likelihood(const at::Tensor& hidden, const OutputHead& head, const at::Tensor& labels,
                                   const Pass& pass = {});
/// Returns the negative log-likelihood of each position, [positions], given `hidden`, without a gradient.
at::Tensor negative_log_likelihoods(const at::Tensor& hidden, const OutputHead& head, const at::Tensor& labels,
                                    double smoothing = 0);

/// Returns the sum of the negative log-likelihoods of `labels` given `logits` [positions, vocabulary], a scalar.
at::Tensor negative_log_likelihood(const at::Tensor& logits, const at::Tensor& labels, double smoothing = 0);
/// Returns the negative log-likelihood of each position, [positions], given `logits`.
at::Tensor negative_log_likelihoods(const at::Tensor& logits, const at::Tensor& labels, double smoothing = 0);

}  // namespace lockstep::models
