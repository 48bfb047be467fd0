#pragma once

#include <ATen/core/Tensor.h>

#include "lockstep/models/dropout.h"

namespace lockstep {

/// softmax(q k^T x scale + bias) v, with dropout on the softmax.
struct AttentionOptions {
  double scale = 1;
  at::Tensor bias;      // added to the scores, broadcast to [batch, heads, query, key]; undefined: none
  bool causal = false;  // query i sees keys 0 ... i; only without `bias`
  double dropout = 0;
};

/// `query` [batch, heads, query, features], `key` and `value` [batch, heads, key, features]; returns
/// [batch, query, heads x features].
at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                  const AttentionOptions& options, Dropout& dropout);

/// [batch, length, heads x features] to [batch, heads, length, features].
at::Tensor split_heads(const at::Tensor& x, std::int64_t heads);

/// 0 where the key is one of a row's first `lengths` [batch], -inf elsewhere: [batch, 1, 1, key_length].
at::Tensor padding_bias(const at::Tensor& lengths, std::int64_t key_length);

/// 0 on and below the diagonal, -inf above: [length, length].
at::Tensor causal_bias(std::int64_t length);

}  // namespace lockstep
