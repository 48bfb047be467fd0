#include "models/layers/attention.h"

#include <ATen/ATen.h>

#include <limits>

#include "lockstep/models/layers/mixed_precision.h"
#include "models/kernels/packed_attention.h"

namespace lockstep::models {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

at::Tensor masked(const at::Tensor& is_hidden) {
  return at::zeros(is_hidden.sizes(), is_hidden.options().dtype(at::kFloat)).masked_fill_(is_hidden, kMasked);
}

at::Tensor merge_heads(const at::Tensor& x) { return x.transpose(1, 2).flatten(2); }

// Returns the sum of all biases; undefined if there are none. It includes the causal mask only if there is another bias
// or a window that hides keys.
at::Tensor all_biases(const AttentionOptions& options, std::int64_t queries, std::int64_t keys, at::Device device) {
  at::Tensor sum = options.bias;
  const auto add = [&](const at::Tensor& bias) { sum = sum.defined() ? sum + bias : bias; };
  const at::Tensor positions = at::arange(queries, at::TensorOptions(at::kLong).device(device));
  if (options.distance_bias.defined()) {
    const at::Tensor distances =
        at::arange(keys, positions.options()) - positions.unsqueeze(1) + (queries - 1);  // [queries, keys]
    add(options.distance_bias.index_select(1, distances.flatten()).view({-1, queries, keys}));
  }
  const bool hides_earlier = options.window && *options.window < queries;
  if (options.causal && (sum.defined() || hides_earlier)) add(window_bias(positions, keys, options.window));
  return sum;
}

// Returns the type of the operands of products. On a GPU they are rounded as in linear layers, because its fastest
// kernels accept nothing else; kernels on the host read fp32.
at::ScalarType type_of_products(const at::Tensor& query, const Pass& pass) {
  const RoundedWeights* rounded = query.is_cpu() ? nullptr : pass.rounded_weights;
  return rounded == nullptr ? query.scalar_type() : rounded->type();
}

// Computes attention without a fused kernel, for a bias with a gradient, a soft cap or Lockstep's own dropout masks,
// which fused kernels do not support. The query heads that share a key head are rows of one product.
at::Tensor attend_unfused(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          const at::Tensor& bias, const AttentionOptions& options, Pass& pass) {
  const std::int64_t queries = query.size(2);
  const at::ScalarType type = type_of_products(query, pass);
  const auto grouped = [&](const at::Tensor& x) { return x.reshape({x.size(0), key.size(1), -1, x.size(3)}).to(type); };
  const auto by_head = [&](const at::Tensor& x) { return x.view({x.size(0), query.size(1), queries, x.size(-1)}); };
  const at::Tensor scaled = options.scale == 1 ? query : query * options.scale;
  at::Tensor scores = by_head(at::matmul(grouped(scaled), key.transpose(-1, -2).to(type))).to(query.scalar_type());
  if (options.soft_cap != 0) scores = at::tanh(scores / options.soft_cap) * options.soft_cap;
  if (bias.defined()) scores = scores + bias;
  const at::Tensor shares = pass.dropout(at::softmax(scores, -1), options.dropout);
  return by_head(at::matmul(grouped(shares), value.to(type))).to(query.scalar_type());
}

}  // namespace

at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                  const AttentionOptions& options, Pass& pass) {
  at::Tensor bias = all_biases(options, query.size(2), key.size(2), query.device());
  const bool bias_needs_gradient = bias.defined() && bias.requires_grad() && at::GradMode::is_enabled();
  if (bias_needs_gradient || options.soft_cap != 0 || (pass.dropout.active() && options.dropout > 0)) {
    if (options.causal && !bias.defined()) {
      bias = window_bias(at::arange(query.size(2), query.options().dtype(at::kLong)), key.size(2), {});
    }
    return merge_heads(attend_unfused(query, key, value, bias, options, pass));
  }
  const bool shared_keys = key.size(1) != query.size(1);
  const at::ScalarType type = type_of_products(query, pass);
  const at::Tensor y = at::scaled_dot_product_attention(
      query.to(type), key.to(type), value.to(type), bias.defined() ? std::optional(bias.to(type)) : std::nullopt,
      /*dropout_p=*/0, /*is_causal=*/options.causal && !bias.defined(), options.scale, /*enable_gqa=*/shared_keys);
  return merge_heads(y.to(query.scalar_type()));
}

at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const PackedRows& queries,
                  const PackedRows& keys, const AttentionOptions& options, Pass& pass) {
  if (query.is_cpu()) return attend_on_host(query, key, value, queries, keys, options, pass.dropout);
  AttentionOptions padded = options;
  // A causal mask hides the padding, too: it comes after all real keys.
  if (keys.has_padding() && !options.causal) {
    const at::Tensor padding = keys.padding_bias();
    padded.bias = options.bias.defined() ? options.bias + padding : padding;
  }
  const auto pad = [](const at::Tensor& x, const PackedRows& rows) { return rows.pad(x).transpose(1, 2); };
  return queries.pack(attend(pad(query, queries), pad(key, keys), pad(value, keys), padded, pass));
}

at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) {
  const at::Tensor split = x.unflatten(-1, {heads, -1});
  return x.dim() == 3 ? split.transpose(1, 2) : split;
}

at::Tensor padding_bias(const at::Tensor& lengths, std::int64_t key_length) {
  const at::Tensor is_padding = at::arange(key_length, lengths.options()).unsqueeze(0) >= lengths.unsqueeze(1);
  return masked(is_padding).unsqueeze(1).unsqueeze(1);
}

at::Tensor window_bias(const at::Tensor& positions, std::int64_t keys, std::optional<std::int64_t> window) {
  const at::Tensor distance = positions.unsqueeze(-1) - at::arange(keys, positions.options());
  at::Tensor is_hidden = distance < 0;
  if (window) is_hidden = is_hidden.logical_or_(distance >= *window);
  return masked(is_hidden);
}

}  // namespace lockstep::models
