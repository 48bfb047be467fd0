#include "lockstep/models/attention.h"

#include <ATen/ATen.h>

#include <limits>

namespace lockstep {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

at::Tensor merge_heads(const at::Tensor& x) { return x.transpose(1, 2).flatten(2); }

// Step by step, where the fused kernel has no gradient for the bias, or would draw its own dropout masks.
at::Tensor attend_unfused(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          const AttentionOptions& options, Dropout& dropout) {
  at::Tensor scores = at::matmul(options.scale == 1 ? query : query * options.scale, key.transpose(-1, -2));
  if (options.bias.defined()) scores = scores + options.bias;
  if (options.causal) scores = scores + causal_bias(query.size(2));
  return at::matmul(dropout(at::softmax(scores, -1), options.dropout), value);
}

}  // namespace

at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                  const AttentionOptions& options, Dropout& dropout) {
  const bool bias_needs_gradient = options.bias.defined() && options.bias.requires_grad() && at::GradMode::is_enabled();
  if (bias_needs_gradient || (dropout.active() && options.dropout > 0)) {
    return merge_heads(attend_unfused(query, key, value, options, dropout));
  }
  const std::optional<at::Tensor> bias = options.bias.defined() ? std::optional(options.bias) : std::nullopt;
  return merge_heads(
      at::scaled_dot_product_attention(query, key, value, bias, /*dropout_p=*/0, options.causal, options.scale));
}

at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) {
  return x.view({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
}

at::Tensor padding_bias(const at::Tensor& lengths, std::int64_t key_length) {
  const at::Tensor is_padding = at::arange(key_length, at::kLong).unsqueeze(0) >= lengths.unsqueeze(1);
  return at::zeros(is_padding.sizes(), at::kFloat).masked_fill_(is_padding, kMasked).unsqueeze(1).unsqueeze(1);
}

at::Tensor causal_bias(std::int64_t length) { return at::full({length, length}, kMasked, at::kFloat).triu_(1); }

}  // namespace lockstep
