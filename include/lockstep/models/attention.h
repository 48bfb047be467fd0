#pragma once

#include <ATen/core/Tensor.h>
#include <optional>

#include "lockstep/models/dropout.h"

namespace lockstep {

/// softmax(q k^T x scale + bias) v, with dropout on the softmax.
struct AttentionOptions {
  double scale = 1;
  double soft_cap = 0;  // not 0: scores s become soft_cap x tanh(s / soft_cap), before the bias
  at::Tensor bias;      // added to the scores, broadcast to [batch, heads, query, key]; undefined: none
  bool causal = false;  // query i sees keys 0 ... i; only without `bias`
  double dropout = 0;
};

/// `query` [batch, heads, query, features], `key` and `value` [batch, key heads, key, features], each of them shared by
/// heads / key heads consecutive heads; returns [batch, query, heads x features].
at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                  const AttentionOptions& options, Dropout& dropout);

/// [batch, length, heads x features] to [batch, heads, length, features].
at::Tensor split_heads(const at::Tensor& x, std::int64_t heads);

/// 0 where the key is one of a row's first `lengths` [batch], -inf elsewhere: [batch, 1, 1, key_length].
at::Tensor padding_bias(const at::Tensor& lengths, std::int64_t key_length);

/// 0 on and below the diagonal, -inf above: [length, length].
at::Tensor causal_bias(std::int64_t length, at::Device device);

/// 0 where query i may see key j, i - window < j <= i, -inf elsewhere, for queries at `positions` [rows...] and keys
/// 0 ... `keys` - 1: [rows..., keys]. Without a window: j <= i.
at::Tensor window_bias(const at::Tensor& positions, std::int64_t keys, std::optional<std::int64_t> window);

}  // namespace lockstep
