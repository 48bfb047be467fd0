#pragma once

#include "models/layers/attention.h"

namespace lockstep::models {

/// Computes attend() of packed rows in fp32 on the host. Forward and backward run block by block, as in FlashAttention
/// (Dao et al. 2022): backward recomputes the probabilities from the log-sum-exp of the scores.
at::Tensor attend_on_host(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          const PackedRows& queries, const PackedRows& keys, const AttentionOptions& options,
                          Dropout& dropout);

}  // namespace lockstep::models
