#include "lockstep/models/loss.h"

#include <ATen/ATen.h>

#include "lockstep/models/batch.h"

namespace lockstep {

LabelledPositions::LabelledPositions(const at::Tensor& all_labels)
    : indices(all_labels.flatten().ne(kIgnoredLabel).nonzero().squeeze(1)),
      labels(all_labels.flatten().index_select(0, indices)),
      batch(all_labels.size(0)),
      length(all_labels.size(1)) {}

at::Tensor LabelledPositions::select(const at::Tensor& hidden) const {
  return hidden.flatten(0, 1).index_select(0, indices);
}

at::Tensor LabelledPositions::sum_by_row(const at::Tensor& values) const {
  return at::zeros({batch}, values.options()).index_add_(0, at::floor_divide(indices, length), values);
}

at::Tensor negative_log_likelihood(const at::Tensor& logits, const at::Tensor& labels) {
  return at::cross_entropy_loss(logits, labels, {}, at::Reduction::Sum);
}

at::Tensor negative_log_likelihoods(const at::Tensor& logits, const at::Tensor& labels) {
  return at::cross_entropy_loss(logits, labels, {}, at::Reduction::None);
}

}  // namespace lockstep
