#include "lockstep/models/loss.h"

#include <ATen/ATen.h>

namespace lockstep {

LabelledPositions::LabelledPositions(const Batch& batch)
    : indices(batch.labelled),
      labels(batch.labels.flatten().index_select(0, indices)),
      rows(batch.labels.size(0)),
      length(batch.labels.size(1)) {}

at::Tensor LabelledPositions::select(const at::Tensor& hidden) const {
  return hidden.flatten(0, 1).index_select(0, indices);
}

at::Tensor LabelledPositions::sum_by_row(const at::Tensor& values) const {
  return at::zeros({rows}, values.options()).index_add_(0, at::floor_divide(indices, length), values);
}

at::Tensor negative_log_likelihood(const at::Tensor& logits, const at::Tensor& labels) {
  return at::cross_entropy_loss(logits, labels, {}, at::Reduction::Sum);
}

at::Tensor negative_log_likelihoods(const at::Tensor& logits, const at::Tensor& labels) {
  return at::cross_entropy_loss(logits, labels, {}, at::Reduction::None);
}

}  // namespace lockstep
