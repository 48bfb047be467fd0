#pragma once

#include "models/layers/attention.h"

namespace lockstep::models {

/// attend() of packed rows, fp32 on the host: forward and backward block by block (after FlashAttention, Dao et al.
/// 2022: backward computes the scores again from the logarithm of their sums).
at::Tensor attend_on_host(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          const PackedRows& queries, const PackedRows& keys, const AttentionOptions& options,
                          Dropout& dropout);

}  // namespace lockstep::models
