#include "lockstep/models/loss.h"

#include <torch/torch.h>
#include <algorithm>
#include <optional>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

// The losses [positions] under `logits` [positions, vocabulary], which become logarithms of probabilities in place.
at::Tensor losses_of_chunk(at::Tensor logits, const at::Tensor& labels) {
  at::_log_softmax_out(logits, logits, 1, /*half_to_float=*/false);
  return -logits.gather(1, labels.unsqueeze(1)).squeeze(1);
}

// What losses_of_chunk() left becomes the losses' gradient for the logits, in place; with the kernel of
// at::cross_entropy_loss(), so that it is rounded alike. `zeros` [at least positions, vocabulary] are zeros again
// afterwards.
at::Tensor gradient_of_chunk(at::Tensor logarithms, const at::Tensor& labels, const at::Tensor& zeros) {
  const at::Tensor indices = labels.unsqueeze(1);
  at::Tensor upper = zeros.narrow(0, 0, labels.size(0));
  upper.scatter_(1, indices, -1);
  at::_log_softmax_backward_data_out(logarithms, upper, logarithms, 1, logarithms.scalar_type());
  upper.scatter_(1, indices, 0);
  return logarithms;
}

// As OutputHead::logits(), of a few positions, and without a graph.
at::Tensor logits_of_chunk(const at::Tensor& hidden, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                           double soft_cap) {
  at::Tensor logits = at::linear(hidden, weight, bias);
  if (soft_cap != 0) logits.div_(soft_cap).tanh_().mul_(soft_cap);
  return logits;
}

class HeadLoss : public torch::autograd::Function<HeadLoss> {
 public:
  // Everything but the last chunk's part of the weight's gradient, which backward() then scales for nothing.
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weight, const std::optional<at::Tensor>& bias, double soft_cap,
                            const at::Tensor& labels) {
    const bool trains_weight = weight.requires_grad();
    const bool trains_bias = bias && bias->requires_grad();
    const at::Tensor hidden_gradient = at::empty_like(hidden, at::MemoryFormat::Contiguous);
    at::Tensor weight_gradient;
    at::Tensor bias_gradient = trains_bias ? at::zeros_like(*bias) : at::Tensor();
    at::Tensor sum = at::zeros({}, hidden.options());
    const std::int64_t positions = hidden.size(0);
    const at::Tensor zeros = at::zeros({std::min(kHeadChunk, positions), weight.size(0)}, hidden.options());
    for (std::int64_t begin = 0; begin < positions; begin += kHeadChunk) {
      const std::int64_t size = std::min(kHeadChunk, positions - begin);
      const at::Tensor rows = hidden.narrow(0, begin, size);
      const at::Tensor logits = logits_of_chunk(rows, weight, bias, soft_cap);
      const at::Tensor slope = soft_cap != 0 ? 1 - at::square(logits / soft_cap) : at::Tensor();
      const at::Tensor labels_of_rows = labels.narrow(0, begin, size);
      sum += losses_of_chunk(logits, labels_of_rows).sum();
      const at::Tensor gradient = gradient_of_chunk(logits, labels_of_rows, zeros);
      if (slope.defined()) gradient.mul_(slope);
      at::Tensor of_rows = hidden_gradient.narrow(0, begin, size);
      at::mm_out(of_rows, gradient, weight);
      if (trains_bias) bias_gradient += gradient.sum(0);
      if (!trains_weight) continue;
      if (begin + size == positions) {
        context->saved_data["last_gradient"] = gradient;
        context->saved_data["last_rows"] = rows;
      } else if (weight_gradient.defined()) {
        weight_gradient.addmm_(gradient.t(), rows);
      } else {
        weight_gradient = at::mm(gradient.t(), rows);
      }
    }
    context->saved_data["hidden"] = hidden_gradient;
    if (weight_gradient.defined()) context->saved_data["weight"] = weight_gradient;
    if (trains_bias) context->saved_data["bias"] = bias_gradient;
    return sum;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const at::Tensor& scale = gradients[0];
    at::Tensor hidden = take(context, "hidden"), weight = take(context, "weight"), bias = take(context, "bias");
    if (!hidden.defined()) throw Error("the loss's gradient was already computed, and its parts are gone");
    hidden.mul_(scale);
    if (bias.defined()) bias.mul_(scale);
    if (at::Tensor last_rows = take(context, "last_rows"); last_rows.defined()) {
      const at::Tensor last_gradient = take(context, "last_gradient");
      const at::Tensor rows = last_rows * scale;
      weight = weight.defined() ? weight.mul_(scale).addmm_(last_gradient.t(), rows) : at::mm(last_gradient.t(), rows);
    }
    return {hidden, weight, bias, at::Tensor(), at::Tensor()};
  }

 private:
  // The parts are changed in place, and freed as early as can be.
  static at::Tensor take(torch::autograd::AutogradContext* context, const char* name) {
    const auto found = context->saved_data.find(name);
    if (found == context->saved_data.end()) return {};
    at::Tensor tensor = found->second.toTensor();
    context->saved_data.erase(found);
    return tensor;
  }
};

}  // namespace

LabelledPositions::LabelledPositions(const Batch& batch)
    : indices(batch.labelled),
      labels(batch.labels.flatten().index_select(0, indices)),
      rows(batch.labels.size(0)),
      length(batch.labels.size(1)) {}

at::Tensor LabelledPositions::among(const PackedRows& packed) const {
  if (indices.numel() == packed.tokens()) return {};
  return at::searchsorted(packed.places, indices);
}

at::Tensor LabelledPositions::sum_by_row(const at::Tensor& values) const {
  return at::zeros({rows}, values.options()).index_add_(0, at::floor_divide(indices, length), values);
}

at::Tensor soft_capped(const at::Tensor& logits, double soft_cap) {
  return soft_cap == 0 ? logits : at::tanh(logits / soft_cap) * soft_cap;
}

at::Tensor OutputHead::logits(const at::Tensor& hidden) const {
  return soft_capped(at::linear(hidden, weight, bias), soft_cap);
}

at::Tensor negative_log_likelihood(const at::Tensor& hidden, const OutputHead& head, const at::Tensor& labels) {
  const std::optional<at::Tensor> bias = head.bias.defined() ? std::optional(head.bias) : std::nullopt;
  const bool needs_gradient =
      hidden.requires_grad() || head.weight.requires_grad() || (head.bias.defined() && head.bias.requires_grad());
  if (!needs_gradient || !at::GradMode::is_enabled()) return negative_log_likelihoods(hidden, head, labels).sum();
  // Without a position, gradients are 0 all the same, rather than none.
  if (labels.numel() == 0) return negative_log_likelihood(head.logits(hidden), labels);
  return HeadLoss::apply(hidden, head.weight, bias, head.soft_cap, labels);
}

at::Tensor negative_log_likelihoods(const at::Tensor& hidden, const OutputHead& head, const at::Tensor& labels) {
  const at::NoGradGuard no_grad;
  const std::optional<at::Tensor> bias = head.bias.defined() ? std::optional(head.bias) : std::nullopt;
  at::Tensor losses = at::empty({hidden.size(0)}, hidden.options());
  for (std::int64_t begin = 0; begin < hidden.size(0); begin += kHeadChunk) {
    const std::int64_t size = std::min(kHeadChunk, hidden.size(0) - begin);
    const at::Tensor logits = logits_of_chunk(hidden.narrow(0, begin, size), head.weight, bias, head.soft_cap);
    losses.narrow(0, begin, size).copy_(losses_of_chunk(logits, labels.narrow(0, begin, size)));
  }
  return losses;
}

at::Tensor negative_log_likelihood(const at::Tensor& logits, const at::Tensor& labels) {
  return at::cross_entropy_loss(logits, labels, {}, at::Reduction::Sum);
}

at::Tensor negative_log_likelihoods(const at::Tensor& logits, const at::Tensor& labels) {
  return at::cross_entropy_loss(logits, labels, {}, at::Reduction::None);
}

}  // namespace lockstep
