#include "lockstep/models/attention.h"

#include <ATen/ATen.h>

#include <limits>

namespace lockstep {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

at::Tensor masked(const at::Tensor& is_hidden) {
  return at::zeros(is_hidden.sizes(), is_hidden.options().dtype(at::kFloat)).masked_fill_(is_hidden, kMasked);
}

at::Tensor merge_heads(const at::Tensor& x) { return x.transpose(1, 2).flatten(2); }

// Step by step, where the fused kernel has no gradient for the bias or no soft cap, or would draw its own dropout
// masks. Heads that share a key are rows of one product.
at::Tensor attend_unfused(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          const AttentionOptions& options, Dropout& dropout) {
  const std::int64_t queries = query.size(2);
  const auto grouped = [&](const at::Tensor& x) { return x.reshape({x.size(0), key.size(1), -1, x.size(3)}); };
  const auto by_head = [&](const at::Tensor& x) { return x.view({x.size(0), query.size(1), queries, x.size(-1)}); };
  const at::Tensor scaled = options.scale == 1 ? query : query * options.scale;
  at::Tensor scores = by_head(at::matmul(grouped(scaled), key.transpose(-1, -2)));
  if (options.soft_cap != 0) scores = at::tanh(scores / options.soft_cap) * options.soft_cap;
  if (options.bias.defined()) scores = scores + options.bias;
  if (options.causal) scores = scores + causal_bias(queries, query.device());
  return by_head(at::matmul(grouped(dropout(at::softmax(scores, -1), options.dropout)), value));
}

}  // namespace

at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                  const AttentionOptions& options, Dropout& dropout) {
  const bool bias_needs_gradient = options.bias.defined() && options.bias.requires_grad() && at::GradMode::is_enabled();
  if (bias_needs_gradient || options.soft_cap != 0 || (dropout.active() && options.dropout > 0)) {
    return merge_heads(attend_unfused(query, key, value, options, dropout));
  }
  const std::optional<at::Tensor> bias = options.bias.defined() ? std::optional(options.bias) : std::nullopt;
  const bool shared_keys = key.size(1) != query.size(1);
  return merge_heads(at::scaled_dot_product_attention(query, key, value, bias, /*dropout_p=*/0, options.causal,
                                                      options.scale, /*enable_gqa=*/shared_keys));
}

at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) {
  return x.view({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
}

at::Tensor padding_bias(const at::Tensor& lengths, std::int64_t key_length) {
  const at::Tensor is_padding = at::arange(key_length, lengths.options()).unsqueeze(0) >= lengths.unsqueeze(1);
  return masked(is_padding).unsqueeze(1).unsqueeze(1);
}

at::Tensor causal_bias(std::int64_t length, at::Device device) {
  return at::full({length, length}, kMasked, at::TensorOptions(at::kFloat).device(device)).triu_(1);
}

at::Tensor window_bias(const at::Tensor& positions, std::int64_t keys, std::optional<std::int64_t> window) {
  const at::Tensor distance = positions.unsqueeze(-1) - at::arange(keys, positions.options());
  at::Tensor is_hidden = distance < 0;
  if (window) is_hidden = is_hidden.logical_or_(distance >= *window);
  return masked(is_hidden);
}

}  // namespace lockstep
