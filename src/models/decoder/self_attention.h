#pragma once

#include <vector>

#include "lockstep/models/layers/dropout.h"
#include "lockstep/models/layers/packed_rows.h"
#include "models/decoder/decoder_config.h"
#include "models/layers/kv_cache.h"
#include "models/layers/norm.h"

namespace lockstep::models {

/// What the layers of one forward pass share: over packed sequences; over padded ones, which are to be continued; or
/// one new token a row.
struct DecoderPass {
  Dropout& dropout;
  std::vector<at::Tensor> biases;  // of each layer, for its scores; undefined: none
  RotaryAngles angles = {};        // of the positions of x

  // Packed sequences:
  const PackedRows* rows = nullptr;
  // [labelled tokens] int64, which of the packed tokens the loss needs: behind the last layer's attention, nothing else
  // is computed. Undefined: all.
  at::Tensor labelled = {};

  // One new token a row:
  at::Tensor positions = {};  // [batch] int64, of the new tokens; undefined for whole sequences
  std::int64_t keys = 0;      // of the longest row, the new one among them

  /// The same with another dropout.
  DecoderPass with(Dropout& other) const { return {other, biases, angles, rows, labelled, positions, keys}; }
};

/// Self-attention of one layer. Its modules are registered in the layer.
class SelfAttention {
 public:
  SelfAttention(torch::nn::Module& layer_module, const DecoderConfig& config, const Rotary& rotary, std::int64_t layer);

  /// `x` [tokens, features] or [batch, length, features] to the same, or, in the last layer, of labelled tokens alone.
  /// `cache`: keeps keys and values of padded sequences if given, and has those before a new token.
  at::Tensor forward(const Operand& x, const DecoderPass& pass, KvCache* cache) const;

  /// Whether forward() returns labelled tokens alone.
  bool is_narrowed(const DecoderPass& pass) const;

 private:
  struct Projected {
    // [tokens, heads or key heads, features] or [batch, heads or key heads, length, features]
    at::Tensor query, key, value;
  };
  Projected project(const Operand& x, Dropout& dropout) const;
  Projected split_fused(const at::Tensor& fused) const;
  at::Tensor rotate(const at::Tensor& x, const RotaryAngles& angles) const;

  const DecoderConfig& config_;
  const Rotary& rotary_;
  std::size_t layer_;
  double scale_;
  std::shared_ptr<Projection> query_, key_, value_, query_key_value_, output_;
  std::shared_ptr<Norm> query_norm_, key_norm_;  // null: none
};

}  // namespace lockstep::models
