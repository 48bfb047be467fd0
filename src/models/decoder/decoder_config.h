#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/models/layers/linear.h"
#include "models/layers/activation.h"
#include "models/layers/rope.h"

namespace lockstep::models {

enum class NormKind { kLayer, kRms, kOffsetRms };  // kOffsetRms: scaled by 1 + weight
enum class PositionKind { kLearned, kRotary, kAlibi };

/// The placement of the norms in a block.
enum class BlockKind {
  kPreNorm,   // x + attention(norm(x)), then x + mlp(norm(x)); outputs of attention and MLP may be normed, too
  kPostNorm,  // norm(x + attention(x)), then norm(x + mlp(x))
  kParallel,  // x + attention(norm(x)) + mlp(norm(x)), with one norm or two
};

/// The layout of query, key and value if a single projection computes all three.
enum class FusedLayout {
  kParts,   // [query of all heads | key | value]
  kGroups,  // for each key head: [its query heads | key | value]
};

/// Holds the names of modules, as in transformers: dotted paths relative to `base`, or within a layer relative to the
/// layer. An empty name means that the family has no such module.
struct DecoderNames {
  std::string base = "model";
  std::string token_embedding = "embed_tokens", position_embedding = "";
  std::string layers = "layers", final_norm = "norm";
  std::string attention_norm = "input_layernorm", mlp_norm = "post_attention_layernorm";
  std::string attention_output_norm = "", mlp_output_norm = "";  // pre-norm blocks only
  std::string query = "self_attn.q_proj", key = "self_attn.k_proj", value = "self_attn.v_proj";
  std::string query_key_value = "";  // the fused projection
  std::string query_norm = "", key_norm = "";
  std::string attention_output = "self_attn.o_proj";
  std::string gate = "mlp.gate_proj", up = "mlp.up_proj", down = "mlp.down_proj";
  std::string gate_up = "";  // the fused projection [gate | up]
};

/// Describes a decoder-only model. A family fills it from config.json; Decoder computes the model.
struct DecoderConfig {
  DecoderNames names = {};

  std::int64_t vocabulary = 0, features = 0, layers = 0, inner_features = 0;
  std::int64_t heads = 0, key_value_heads = 0, head_features = 0;
  std::int64_t embedding_features = 0;  // if not `features`, projected to `features`, and back before the head

  std::optional<std::int64_t> padding_id = {};  // row of the embedding that lookups do not train
  double embedding_scale = 1;
  PositionKind positions = PositionKind::kRotary;
  // Maximum length of a sequence; none if any length works. The table of learned positions has this many rows after the
  // first `position_offset`.
  std::optional<std::int64_t> max_positions = {};
  std::int64_t position_offset = 0;
  RotaryConfig rotary = {};

  BlockKind block = BlockKind::kPreNorm;
  NormKind norm = NormKind::kRms;
  double norm_epsilon = 1e-6;
  bool affine_norms = true;
  bool has_final_norm = true;

  bool conv1d = false;  // projections store their weights [in, out]
  FusedLayout fused_layout = FusedLayout::kParts;
  bool query_key_value_bias = false, attention_output_bias = false, mlp_bias = false;
  double attention_scale = 1;
  bool scale_by_inverse_layer = false;
  double attention_soft_cap = 0, logit_soft_cap = 0;      // 0 if none
  std::vector<std::optional<std::int64_t>> windows = {};  // one per layer: keys that a query sees, including its own
  Activation activation = {};

  bool untied_head = false, head_bias = false;

  double embedding_dropout = 0, attention_dropout = 0, attention_output_dropout = 0, mlp_output_dropout = 0;
  bool joint_dropout = false;  // parallel blocks: mlp_output_dropout applies to attention + MLP

  double initializer_range = 0.02;
  bool scale_residual_weights = false;  // initial output projections of a layer are divided by sqrt(2 layers)
};

}  // namespace lockstep::models
