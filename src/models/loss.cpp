#include "lockstep/models/loss.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/torch.h>
#include <algorithm>
#include <optional>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/models/layers/mixed_precision.h"
#include "models/kernels/softmax_rows.h"
#include "models/kernels/vector_math.h"
#include "models/layers/product.h"

namespace lockstep::models {
namespace {

// Limit of the logits in memory, bytes. Chunks should be large, since each reads the weight twice and adds to its whole
// gradient.
constexpr std::int64_t kChunkBytes = 128 << 20;

// Returns the number of positions per chunk, for the fewest possible chunks of about equal size.
std::int64_t chunk_size(std::int64_t positions, std::int64_t vocabulary) {
  constexpr std::int64_t kLeast = 64;  // with fewer, products are slow
  const std::int64_t fitting = kChunkBytes / (vocabulary * static_cast<std::int64_t>(sizeof(float)));
  const std::int64_t most = std::clamp(fitting, kLeast, kHeadChunk);
  const std::int64_t chunks = std::max<std::int64_t>(1, (positions + most - 1) / most);
  return (positions + chunks - 1) / chunks;
}

// Allocates the logits of `positions` positions for logits_of_chunk(). In fp32 on the host, rows begin at cache lines.
at::Tensor make_logits_buffer(const at::Tensor& hidden, std::int64_t positions, std::int64_t vocabulary) {
  constexpr std::int64_t kCacheLine = 64 / sizeof(float);
  const std::int64_t stride =
      is_on_host_in_fp32(hidden) ? (vocabulary + kCacheLine - 1) / kCacheLine * kCacheLine : vocabulary;
  return at::empty({positions, stride}, hidden.options()).narrow(1, 0, vocabulary);
}

enum class Wanted { kLosses, kGradientsToo };

// Computes losses_of_chunk() on the host, finishing each row while it is in the cache. `logits` are fp32 or bf16, with
// any stride between rows.
at::Tensor losses_on_host(const at::Tensor& logits, const at::Tensor& labels, double smoothing, Wanted wanted) {
  at::Tensor losses = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
  const at::Tensor of_rows = labels.contiguous();
  const std::int64_t vocabulary = logits.size(1), stride = logits.stride(0);
  const bool wants_gradient = wanted == Wanted::kGradientsToo;
  auto* loss_data = losses.mutable_data_ptr<float>();
  const auto* label_data = of_rows.const_data_ptr<std::int64_t>();
  const auto for_rows = [&](const auto& loss_of_row) {
    at::parallel_for(0, logits.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> scratch;
      for (std::int64_t row = begin; row < end; ++row) loss_data[row] = static_cast<float>(loss_of_row(row, scratch));
    });
  };
  if (logits.scalar_type() == at::kFloat) {
    auto* rows = logits.mutable_data_ptr<float>();
    for_rows([&](std::int64_t row, std::vector<float>&) {
      return cross_entropy_of_row(rows + row * stride, vocabulary, label_data[row], smoothing, wants_gradient);
    });
  } else {
    auto* rows = logits.mutable_data_ptr<at::BFloat16>();
    for_rows([&](std::int64_t row, std::vector<float>& scratch) {
      scratch.resize(static_cast<std::size_t>(vocabulary));
      at::BFloat16* of_row = rows + row * stride;
      widen(of_row, scratch.data(), vocabulary);
      const double loss = cross_entropy_of_row(scratch.data(), vocabulary, label_data[row], smoothing, wants_gradient);
      if (wants_gradient) narrow(scratch.data(), of_row, vocabulary);
      return loss;
    });
  }
  return losses;
}

// Computes losses_of_chunk() with torch operations, on any device.
at::Tensor losses_on_device(at::Tensor logits, const at::Tensor& labels, double smoothing, Wanted wanted) {
  at::_log_softmax_out(logits, logits, 1, /*half_to_float=*/false);
  const at::Tensor indices = labels.unsqueeze(1);
  at::Tensor losses = logits.gather(1, indices).squeeze(1) * (smoothing - 1);
  if (smoothing != 0) losses -= logits.mean(1) * smoothing;
  if (wanted == Wanted::kLosses) return losses;
  const double off_label = -smoothing / static_cast<double>(logits.size(1));
  const at::Tensor grad_output = at::full_like(logits, off_label).scatter_(1, indices, off_label + smoothing - 1);
  at::_log_softmax_backward_data_out(logits, grad_output, logits, 1, logits.scalar_type());
  return losses;
}

// Returns the losses [positions] given `logits` [positions, vocabulary], and overwrites `logits`, with their gradient
// if that is wanted. The gradient of fp16 logits is multiplied by `fp16_scale` before it is rounded.
at::Tensor losses_of_chunk(const at::Tensor& logits, const at::Tensor& labels, double smoothing, Wanted wanted,
                           double fp16_scale = 1) {
  const bool is_rounded = logits.scalar_type() == at::kBFloat16 || logits.scalar_type() == at::kHalf;
  const bool is_half = logits.scalar_type() == at::kHalf;
  if (logits.is_cpu() && !is_half && (is_rounded || logits.scalar_type() == at::kFloat)) {
    return losses_on_host(logits, labels, smoothing, wanted);
  }
  if (!is_rounded) return losses_on_device(logits, labels, smoothing, wanted);
  const at::Tensor wide = logits.to(at::kFloat);
  const at::Tensor losses = wide.is_cpu() ? losses_on_host(wide, labels, smoothing, wanted)
                                          : losses_on_device(wide, labels, smoothing, wanted);
  if (wanted == Wanted::kGradientsToo) logits.copy_(is_half ? wide.mul_(fp16_scale) : wide);
  return losses;
}

// Computes OutputHead::logits() of a chunk of positions, without a graph, into the first rows of `buffer`. In fp32 on
// the host it processes the vocabulary in ranges, with rows aligned to cache lines: a single product with unaligned
// rows, as of GPT-2's 50,257 tokens, took 1.4 times as long.
at::Tensor logits_of_chunk(const at::Tensor& hidden, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                           double soft_cap, const at::Tensor& buffer) {
  constexpr std::int64_t kPart = 4096;
  at::Tensor logits = buffer.narrow(0, 0, hidden.size(0));
  const std::int64_t vocabulary = weight.size(0);
  const std::int64_t part = is_on_host_in_fp32(hidden) ? kPart : vocabulary;
  for (std::int64_t begin = 0; begin < vocabulary; begin += part) {
    const std::int64_t size = std::min(part, vocabulary - begin);
    at::Tensor of_part = logits.narrow(1, begin, size);
    const at::Tensor matrix = weight.narrow(0, begin, size).t();
    if (bias) {
      at::addmm_out(of_part, bias->narrow(0, begin, size), hidden, matrix);
    } else {
      at::mm_out(of_part, hidden, matrix);
    }
  }
  if (soft_cap != 0) logits.div_(soft_cap).tanh_().mul_(soft_cap);
  return logits;
}

class HeadLoss : public torch::autograd::Function<HeadLoss> {
 public:
  // Computes all gradients if the loss scale is known and the weight has a gradient to add to. Otherwise leaves the
  // last chunk's part of the weight's gradient to backward(), which can then apply the scale at no extra cost.
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& all_hidden,
                            const at::Tensor& trained_weight, const std::optional<at::Tensor>& trained_bias,
                            double soft_cap, const at::Tensor& labels, const Pass& pass) {
    const bool trains_weight = trained_weight.requires_grad();
    const bool trains_bias = trained_bias && trained_bias->requires_grad();
    RoundedWeights* rounded = pass.rounded_weights;
    const at::Tensor hidden = rounded == nullptr ? all_hidden : all_hidden.to(rounded->type());
    const at::Tensor weight = rounded == nullptr ? trained_weight : rounded->get(trained_weight);
    const std::optional<at::Tensor> bias =
        trained_bias ? std::optional(trained_bias->to(hidden.scalar_type())) : std::nullopt;
    const at::Tensor hidden_gradient = at::empty_like(hidden, at::MemoryFormat::Contiguous);
    const std::optional<double> scale = pass.loss_scale;
    at::Tensor sum = scale && trains_weight ? gradient_to_add_to(trained_weight) : at::Tensor();
    // fp16 gradients are scaled before they are rounded; otherwise those of improbable tokens would underflow to 0.
    const bool is_scaled_early = hidden.scalar_type() == at::kHalf && scale.value_or(0) != 0;
    const double scaled_by = is_scaled_early ? *scale : 1;
    if (sum.defined() || is_scaled_early) context->saved_data["scale"] = *scale;
    context->saved_data["scaled_by"] = scaled_by;
    at::Tensor weight_gradient;
    at::Tensor bias_gradient = trains_bias ? at::zeros_like(*trained_bias) : at::Tensor();
    const std::int64_t positions = hidden.size(0);
    const std::int64_t chunk = chunk_size(positions, weight.size(0));
    const at::Tensor losses = at::empty({positions}, all_hidden.options());
    const at::Tensor buffer = make_logits_buffer(hidden, chunk, weight.size(0));
    for (std::int64_t begin = 0; begin < positions; begin += chunk) {
      const std::int64_t size = std::min(chunk, positions - begin);
      const at::Tensor rows = hidden.narrow(0, begin, size);
      const at::Tensor gradient = logits_of_chunk(rows, weight, bias, soft_cap, buffer);
      const at::Tensor slope = soft_cap != 0 ? 1 - at::square(gradient / soft_cap) : at::Tensor();
      losses.narrow(0, begin, size)
          .copy_(losses_of_chunk(gradient, labels.narrow(0, begin, size), pass.label_smoothing, Wanted::kGradientsToo,
                                 scaled_by));
      if (slope.defined()) gradient.mul_(slope);
      at::Tensor of_rows = hidden_gradient.narrow(0, begin, size);
      at::mm_out(of_rows, gradient, weight);
      if (trains_bias) bias_gradient += gradient.sum(0, /*keepdim=*/false, at::kFloat);
      if (!trains_weight) continue;
      if (sum.defined()) {
        add_product(sum, gradient.t(), rows, *scale / scaled_by);
      } else if (begin + size == positions) {
        context->saved_data["last_gradient"] = gradient;
        context->saved_data["last_rows"] = rows;
      } else {
        add_product(weight_gradient, gradient.t(), rows);
      }
    }
    if (pass.adds_gradients_in_place) context->save_for_backward({trained_weight, trained_bias.value_or(at::Tensor())});
    context->saved_data["hidden"] = hidden_gradient.to(at::kFloat);
    if (weight_gradient.defined()) context->saved_data["weight"] = weight_gradient;
    if (trains_bias) context->saved_data["bias"] = bias_gradient;
    return losses.sum();
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const at::Tensor& grad_output = gradients[0];
    at::Tensor hidden = take(context, "hidden"), weight = take(context, "weight"), bias = take(context, "bias");
    if (!hidden.defined()) throw Error("the loss's gradient was already computed and its saved tensors were released");
    if (const auto known = context->saved_data.find("scale");
        known != context->saved_data.end() && grad_output.is_cpu()) {
      const double expected = known->second.toDouble();
      if (grad_output.item<float>() != static_cast<float>(expected)) {
        throw Error(fmt::format(
            "backward(): expected the loss scaled by {}, as Pass::loss_scale announced, found it scaled by {}",
            expected, grad_output.item<float>()));
      }
    }
    const auto in_place = context->get_saved_variables();
    const auto sum_of = [&](std::size_t i) {
      return in_place.empty() ? at::Tensor() : gradient_to_add_to(in_place[i]);
    };
    const double scaled_by = context->saved_data["scaled_by"].toDouble();
    const at::Tensor scale = scaled_by == 1 ? grad_output : grad_output / scaled_by;
    hidden.mul_(scale);
    if (bias.defined()) bias = scaled_into(sum_of(1), bias, scale);
    if (at::Tensor last_rows = take(context, "last_rows"); last_rows.defined()) {
      at::Tensor sum = sum_of(0);
      const at::Tensor last_gradient = take(context, "last_gradient");
      const at::Tensor rows = (last_rows * scale).to(last_gradient.scalar_type());
      if (weight.defined()) weight = scaled_into(sum, weight, scale);
      add_product(sum.defined() ? sum : weight, last_gradient.t(), rows);
    }
    return {hidden, weight, bias, at::Tensor(), at::Tensor(), at::Tensor()};
  }

 private:
  // Adds `gradient` x `scale` to `sum` and returns an undefined tensor. If `sum` is undefined, returns the product.
  static at::Tensor scaled_into(at::Tensor sum, at::Tensor gradient, const at::Tensor& scale) {
    if (!sum.defined()) return gradient.mul_(scale);
    sum.addcmul_(gradient, scale);
    return {};
  }

  // Moves a saved tensor out of the context, so that it can be modified in place and freed as early as possible.
  static at::Tensor take(torch::autograd::AutogradContext* context, const char* name) {
    const auto found = context->saved_data.find(name);
    if (found == context->saved_data.end()) return {};
    at::Tensor tensor = found->second.toTensor();
    context->saved_data.erase(found);
    return tensor;
  }
};

}  // namespace

double logits_bytes(double positions, double vocabulary) {
  const auto rows = static_cast<std::int64_t>(positions), columns = static_cast<std::int64_t>(vocabulary);
  if (columns == 0) return 0;
  return static_cast<double>(chunk_size(rows, columns)) * vocabulary * sizeof(float);
}

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

at::Tensor negative_log_likelihood(const at::Tensor& hidden, const OutputHead& head, const at::Tensor& labels,
                                   const Pass& pass) {
  const std::optional<at::Tensor> bias = head.bias.defined() ? std::optional(head.bias) : std::nullopt;
  const bool needs_gradient =
      hidden.requires_grad() || head.weight.requires_grad() || (head.bias.defined() && head.bias.requires_grad());
  if (!needs_gradient || !at::GradMode::is_enabled()) {
    return negative_log_likelihoods(hidden, head, labels, pass.label_smoothing).sum();
  }
  // Without any position, gradients must still be 0, not undefined.
  if (labels.numel() == 0) return negative_log_likelihood(head.logits(hidden), labels, pass.label_smoothing);
  return HeadLoss::apply(hidden, head.weight, bias, head.soft_cap, labels, pass);
}

at::Tensor negative_log_likelihoods(const at::Tensor& hidden, const OutputHead& head, const at::Tensor& labels,
                                    double smoothing) {
  const at::NoGradGuard no_grad;
  const std::optional<at::Tensor> bias = head.bias.defined() ? std::optional(head.bias) : std::nullopt;
  const std::int64_t positions = hidden.size(0);
  at::Tensor losses = at::empty({positions}, hidden.options());
  if (positions == 0) return losses;
  const std::int64_t chunk = chunk_size(positions, head.weight.size(0));
  const at::Tensor buffer = make_logits_buffer(hidden, chunk, head.weight.size(0));
  for (std::int64_t begin = 0; begin < positions; begin += chunk) {
    const std::int64_t size = std::min(chunk, positions - begin);
    const at::Tensor logits = logits_of_chunk(hidden.narrow(0, begin, size), head.weight, bias, head.soft_cap, buffer);
    losses.narrow(0, begin, size)
        .copy_(losses_of_chunk(logits, labels.narrow(0, begin, size), smoothing, Wanted::kLosses));
  }
  return losses;
}

at::Tensor negative_log_likelihood(const at::Tensor& logits, const at::Tensor& labels, double smoothing) {
  return at::cross_entropy_loss(logits, labels, {}, at::Reduction::Sum, /*ignore_index=*/-100, smoothing);
}

at::Tensor negative_log_likelihoods(const at::Tensor& logits, const at::Tensor& labels, double smoothing) {
  return at::cross_entropy_loss(logits, labels, {}, at::Reduction::None, /*ignore_index=*/-100, smoothing);
}

}  // namespace lockstep::models
