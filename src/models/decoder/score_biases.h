#pragma once

#include <vector>

#include "models/decoder/decoder_config.h"

namespace lockstep::models {

// What is added to the attention scores of each layer: ALiBi's slopes, and -inf for what a new token may not see.

/// For whole sequences of `length`, [1, heads, 1, length], the same of all layers; undefined without ALiBi.
std::vector<at::Tensor> sequence_biases(const DecoderConfig& config, std::int64_t length, at::Device device);

/// For one new token a row at `positions` [batch], keys 0 ... `keys` - 1: [batch, 1 or heads, 1, keys]. Layers with
/// equal windows share a tensor.
std::vector<at::Tensor> step_biases(const DecoderConfig& config, const at::Tensor& positions, std::int64_t keys);

}  // namespace lockstep::models
