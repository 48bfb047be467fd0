#pragma once

#include "lockstep/models/families.h"
#include "models/decoder/decoder_config.h"

namespace lockstep::models {

/// Completes a family whose models are Decoders: `read` converts a config.json, and what all such families share is set
/// here.
Family decoder_family(Family family, DecoderConfig (*read)(const Json& config));

/// Returns "pad_token_id", or `fallback` if the key is missing: the row of the embedding that lookups do not train.
/// Negative ids count from the end, as in transformers.
std::optional<std::int64_t> read_padding_id(const Json& config, std::optional<std::int64_t> fallback,
                                            std::int64_t vocabulary);

/// Throws InputError unless `features`, named `features_key`, is a multiple of `heads`.
void check_heads(std::int64_t features, const char* features_key, std::int64_t heads, const char* heads_key);

/// Returns the attention window of each layer from "layer_types"; if that is missing or null, `is_sliding` decides for
/// each layer. Throws InputError if a layer is sliding and there is no `window`.
std::vector<std::optional<std::int64_t>> read_layer_types(const Json& config, std::int64_t layers,
                                                          std::optional<std::int64_t> window,
                                                          const std::function<bool(std::int64_t)>& is_sliding);

/// Holds transformers' defaults for a config.json of the Llama type.
struct LlamaLikeDefaults {
  std::int64_t vocabulary = 32000, features = 4096, inner_features = 11008, layers = 32, heads = 32;
  std::optional<std::int64_t> key_value_heads = {};  // none: equal to heads
  std::optional<std::int64_t> head_features = {};    // none: features / heads
  std::int64_t max_positions = 2048;
  const char* activation_key = "hidden_act";
  const char* activation = "silu";
  double norm_epsilon = 1e-6;
  std::optional<std::int64_t> padding_id = {};
  bool partial_rotation = false;
};

/// Reads a config.json of the Llama type: RMS norms, grouped key heads, rotary positions and a gated MLP. The family
/// sets biases and windows itself.
DecoderConfig read_llama_like(const Json& config, const LlamaLikeDefaults& defaults);

}  // namespace lockstep::models
