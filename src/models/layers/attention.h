#pragma once

#include <ATen/core/Tensor.h>
#include <optional>

#include "lockstep/models/layers/dropout.h"
#include "lockstep/models/layers/packed_rows.h"

namespace lockstep::models {

/// softmax(q k^T x scale + biases) v, with dropout on the softmax.
struct AttentionOptions {
  double scale = 1;
  double soft_cap = 0;   // not 0: scores s become soft_cap x tanh(s / soft_cap), before the biases
  at::Tensor bias = {};  // added to the scores, broadcast to [rows, heads, query, key]; undefined: none
  /// Whole rows only: [heads, queries + keys - 1], added to the scores by distance, key - query + queries - 1, where
  /// queries and keys are the lengths of the longest rows.
  at::Tensor distance_bias = {};
  bool causal = false;                      // query i sees keys 0 ... i
  std::optional<std::int64_t> window = {};  // of causal attention: of them the last `window`
  double dropout = 0;
};

/// `query` [rows, heads, query, features], `key` and `value` [rows, key heads, key, features], each of them shared by
/// heads / key heads consecutive heads; returns [rows, query, heads x features].
at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                  const AttentionOptions& options, Dropout& dropout);

/// The same between packed rows: `query` [tokens of `queries`, heads, features], `key` and `value` [tokens of `keys`,
/// key heads, features]; returns [tokens of `queries`, heads x features]. `bias` has no gradient and is the same for
/// all rows. On the host, no padding is computed, and scores are kept of a block of queries at a time.
at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const PackedRows& queries,
                  const PackedRows& keys, const AttentionOptions& options, Dropout& dropout);

/// [tokens, heads x features] to [tokens, heads, features], and [rows, length, heads x features] to
/// [rows, heads, length, features].
at::Tensor split_heads(const at::Tensor& x, std::int64_t heads);

/// 0 where the key is one of a row's first `lengths` [rows], -inf elsewhere: [rows, 1, 1, key_length].
at::Tensor padding_bias(const at::Tensor& lengths, std::int64_t key_length);

/// 0 where query i may see key j, i - window < j <= i, -inf elsewhere, for queries at `positions` [rows...] and keys
/// 0 ... `keys` - 1: [rows..., keys]. Without a window: j <= i.
at::Tensor window_bias(const at::Tensor& positions, std::int64_t keys, std::optional<std::int64_t> window);

}  // namespace lockstep::models
