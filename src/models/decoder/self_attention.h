#pragma once

#include <vector>

#include "lockstep/models/layers/packed_rows.h"
#include "lockstep/models/layers/pass.h"
#include "models/decoder/decoder_config.h"
#include "models/layers/kv_cache.h"
#include "models/layers/norm.h"

namespace lockstep::models {

/// Describes the tokens that the layers of one forward pass process: packed sequences, padded sequences that will be
/// continued, or one new token per row.
struct DecoderContext {
  std::vector<at::Tensor> biases;  // on attention scores, one per layer; undefined if none
  RotaryAngles angles = {};        // for the positions of x

  // Packed sequences:
  const PackedRows* rows = nullptr;
  // [labelled tokens] int64: indices of the packed tokens that the loss needs. After the attention of the last layer,
  // only these are computed. Undefined if all are needed.
  at::Tensor labelled = {};

  // One new token per row:
  at::Tensor positions = {};  // positions of the new tokens, [batch] int64; undefined for whole sequences
  std::int64_t keys = 0;      // in the longest row, including the new token
};

/// Implements the self-attention of one layer. Registers its modules in the layer's module.
class SelfAttention {
 public:
  SelfAttention(torch::nn::Module& layer_module, const DecoderConfig& config, const Rotary& rotary, std::int64_t layer);

  /// Returns the output for `x` [tokens, features] or [batch, length, features], in the same shape, or for labelled
  /// tokens only if is_narrowed(). `cache` may be null except for new tokens: it receives the keys and values of padded
  /// sequences, and supplies those before a new token.
  at::Tensor forward(const Operand& x, const DecoderContext& context, Pass& pass, KvCache* cache) const;

  /// Returns whether forward() returns labelled tokens only, as it may in the last layer.
  bool is_narrowed(const DecoderContext& context) const;

 private:
  struct Projected {
    // [tokens, heads or key heads, features] or [batch, heads or key heads, length, features]
    at::Tensor query, key, value;
  };
  Projected project(const Operand& x, Pass& pass) const;
  Projected split_fused(const at::Tensor& fused) const;
  at::Tensor rotate(const at::Tensor& x, const RotaryAngles& angles) const;

  const DecoderConfig& config_;
  const Rotary& rotary_;
  std::size_t layer_;
  double scale_;
  std::shared_ptr<Projection> query_, key_, value_, query_key_value_, output_;
  std::shared_ptr<Norm> query_norm_, key_norm_;  // null if there are none
};

}  // namespace lockstep::models
