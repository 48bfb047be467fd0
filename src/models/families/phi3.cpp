// Defines the family of Phi-3 (Abdin et al. 2024), computed as in transformers' Phi3ForCausalLM.
#include <fmt/format.h>

#include "lockstep/core/error.h"
#include "models/config.h"
#include "models/families/all_families.h"
#include "models/families/decoder_family.h"

namespace lockstep::models {
namespace {

// Older files call longrope "su" or "yarn", and keep the length before scaling outside the rope parameters.
Json with_longrope(Json config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.contains(key) || !config[key].is_object()) continue;
    for (const char* type : {"rope_type", "type"}) {
      if (!config[key].contains(type)) continue;
      Json& value = config[key][type];
      if (value == "su" || value == "yarn") value = "longrope";
    }
  }
  if (!config.contains("original_max_position_embeddings")) config["original_max_position_embeddings"] = 4096;
  return config;
}

DecoderConfig read_phi3(const Json& config) {
  DecoderConfig decoder = read_llama_like(with_longrope(config), {.vocabulary = 32064,
                                                                  .features = 3072,
                                                                  .inner_features = 8192,
                                                                  .max_positions = 4096,
                                                                  .norm_epsilon = 1e-5,
                                                                  .padding_id = 32000,
                                                                  .partial_rotation = true});
  if (decoder.rotary.type != "default" && decoder.rotary.type != "longrope") {
    throw InputError(
        fmt::format("config.json: rope_parameters: the type '{}' is not supported for phi3 (supported: "
                    "default, longrope)",
                    decoder.rotary.type));
  }
  decoder.names.query_key_value = "self_attn.qkv_proj";
  decoder.names.gate_up = "mlp.gate_up_proj";
  decoder.windows.assign(decoder.windows.size(), config_optional_integer(config, "sliding_window", std::nullopt));
  decoder.attention_output_dropout = decoder.mlp_output_dropout = config_probability(config, "resid_pdrop", 0);
  return decoder;
}

}  // namespace

Family phi3_family() {
  return decoder_family({.model_type = "phi3",
                         .architecture = "Phi3ForCausalLM",
                         .models = "Phi-3, Phi-3.5-mini, Phi-4 and Phi-4-mini",
                         .features = "grouped-query attention, partial rope, sliding window, longrope",
                         .limits = "other rope types",
                         .embedding = "model.embed_tokens.weight",
                         .base_prefix = "model.",
                         .ties_head = false,
                         .lora_targets = {"qkv_proj"}},
                        &read_phi3);
}

}  // namespace lockstep::models
