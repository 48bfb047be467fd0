#pragma once

#include <vector>

#include "models/decoder/decoder_config.h"

namespace lockstep {

// What is added to the attention scores of each layer: 0 or -inf for what a query may see, and ALiBi's slopes. Layers
// with equal windows share a tensor.

/// For whole sequences of `length`, [length, length] or [1, heads, length, length]. Undefined for a layer that only
/// hides what comes later.
std::vector<at::Tensor> sequence_biases(const DecoderConfig& config, std::int64_t length, at::Device device);

/// For one new token a row at `positions` [batch], keys 0 ... `keys` - 1: [batch, 1 or heads, 1, keys].
std::vector<at::Tensor> step_biases(const DecoderConfig& config, const at::Tensor& positions, std::int64_t keys);

}  // namespace lockstep
