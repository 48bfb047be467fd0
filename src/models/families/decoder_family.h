#pragma once

#include "lockstep/models/families.h"
#include "models/decoder/decoder_config.h"

namespace lockstep::models {

/// A family whose models are Decoders, of what `read` makes of config.json. Sets what all of them have in common.
Family decoder_family(Family family, DecoderConfig (*read)(const Json& config));

/// "pad_token_id", or `fallback` where it is missing: the row of the embedding that lookups do not train. transformers
/// counts negative ones from the end.
std::optional<std::int64_t> read_padding_id(const Json& config, std::optional<std::int64_t> fallback,
                                            std::int64_t vocabulary);

/// Throws InputError unless `features`, named `features_key`, is a multiple of `heads`.
void check_heads(std::int64_t features, const char* features_key, std::int64_t heads, const char* heads_key);

/// Windows of `layers` layers by "layer_types", which may be missing or null: `is_sliding` then says it for each layer.
/// Without a `window`, no layer may be a sliding one.
std::vector<std::optional<std::int64_t>> read_layer_types(const Json& config, std::int64_t layers,
                                                          std::optional<std::int64_t> window,
                                                          const std::function<bool(std::int64_t)>& is_sliding);

/// transformers' defaults for a config.json of Llama's kind.
struct LlamaLikeDefaults {
  std::int64_t vocabulary = 32000, features = 4096, inner_features = 11008, layers = 32, heads = 32;
  std::optional<std::int64_t> key_value_heads = {};  // none: as many as heads
  std::optional<std::int64_t> head_features = {};    // none: features / heads
  std::int64_t max_positions = 2048;
  const char* activation_key = "hidden_act";
  const char* activation = "silu";
  double norm_epsilon = 1e-6;
  std::optional<std::int64_t> padding_id = {};
  bool partial_rotation = false;
};

/// Llama's stack: RMS norms, grouped key heads, rotary positions, a gated MLP. Biases and windows are left to the
/// family.
DecoderConfig read_llama_like(const Json& config, const LlamaLikeDefaults& defaults);

}  // namespace lockstep::models
