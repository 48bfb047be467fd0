#pragma once

#include <vector>

#include "models/decoder/decoder_config.h"

namespace lockstep::models {

// Biases on the attention scores of each layer: ALiBi's, and -inf for keys that a new token must not see.

/// Returns the biases of each layer for whole sequences, [1, heads, 1, length], undefined without ALiBi. All layers
/// share a tensor.
std::vector<at::Tensor> sequence_biases(const DecoderConfig& config, std::int64_t length, at::Device device);

/// Returns the biases of each layer for one new token per row at `positions` [batch] and keys 0 ... `keys` - 1: [batch,
/// 1 or heads, 1, keys]. Layers with equal windows share a tensor.
std::vector<at::Tensor> step_biases(const DecoderConfig& config, const at::Tensor& positions, std::int64_t keys);

}  // namespace lockstep::models
