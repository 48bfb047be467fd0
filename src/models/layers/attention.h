#pragma once

#include <ATen/core/Tensor.h>
#include <optional>

#include "lockstep/models/layers/packed_rows.h"
#include "lockstep/models/layers/pass.h"

namespace lockstep::models {

/// Holds the options of attention, softmax(q k^T x scale + biases) v with dropout on the softmax.
struct AttentionOptions {
  double scale = 1;
  double soft_cap = 0;   // if not 0, scores s become soft_cap x tanh(s / soft_cap) before biases are added
  at::Tensor bias = {};  // added to the scores, broadcast to [rows, heads, query, key]; undefined if none
  /// Bias by distance [heads, queries + keys - 1], for whole rows only: the score of a query and a key gets the entry
  /// at index key - query + queries - 1, where queries and keys are the lengths of the longest rows.
  at::Tensor distance_bias = {};
  bool causal = false;                      // query i sees keys 0 ... i
  std::optional<std::int64_t> window = {};  // causal attention only: query i sees only the last `window` of these
  double dropout = 0;
};

/// Returns the attention [rows, query, heads x features] of `query` [rows, heads, query, features] to `key` and `value`
/// [rows, key heads, key, features]. Each key head is shared by heads / key heads consecutive query heads.
at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                  const AttentionOptions& options, Pass& pass);

/// Returns the attention [tokens of `queries`, heads x features] between packed rows, of `query` [tokens of `queries`,
/// heads, features] to `key` and `value` [tokens of `keys`, key heads, features]. `options.bias` must not need a
/// gradient and must be the same for all rows. On the host, no padding is computed and the scores of only one block of
/// queries are in memory at a time.
at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const PackedRows& queries,
                  const PackedRows& keys, const AttentionOptions& options, Pass& pass);

/// Converts [tokens, heads x features] to [tokens, heads, features], and [rows, length, heads x features] to [rows,
/// heads, length, features].
at::Tensor split_heads(const at::Tensor& x, std::int64_t heads);

/// Returns a bias [rows, 1, 1, key_length] that is 0 for the first `lengths` [rows] keys of each row and -inf
/// elsewhere.
at::Tensor padding_bias(const at::Tensor& lengths, std::int64_t key_length);

/// Returns a bias [rows..., keys] for queries at `positions` [rows...] and keys 0 ... `keys` - 1 that is 0 where query
/// i sees key j, i - window < j <= i, and -inf elsewhere. Without a window, the condition is j <= i.
at::Tensor window_bias(const at::Tensor& positions, std::int64_t keys, std::optional<std::int64_t> window);

}  // namespace lockstep::models
