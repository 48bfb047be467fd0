// Defines the families of Qwen2 (Yang et al. 2024) and Qwen3 (2025), computed as in transformers' Qwen2ForCausalLM and
// Qwen3ForCausalLM.
#include "models/config.h"
#include "models/families/all_families.h"
#include "models/families/decoder_family.h"

namespace lockstep::models {
namespace {

DecoderConfig read_qwen(const Json& config, std::optional<std::int64_t> head_features) {
  DecoderConfig decoder = read_llama_like(config, {.vocabulary = 151936,
                                                   .inner_features = 22016,
                                                   .key_value_heads = 32,
                                                   .head_features = head_features,
                                                   .max_positions = 32768});
  const bool slides = config_flag(config, "use_sliding_window", false);
  const auto window = slides ? config_optional_integer(config, "sliding_window", 4096) : std::nullopt;
  const std::int64_t first = config_token(config, "max_window_layers", 28);
  decoder.windows = read_layer_types(config, decoder.layers, window,
                                     [&](std::int64_t layer) { return window.has_value() && layer >= first; });
  return decoder;
}

DecoderConfig read_qwen2(const Json& config) {
  DecoderConfig decoder = read_qwen(config, std::nullopt);
  decoder.query_key_value_bias = true;
  return decoder;
}

DecoderConfig read_qwen3(const Json& config) {
  DecoderConfig decoder = read_qwen(config, 128);
  decoder.names.query_norm = "self_attn.q_norm";
  decoder.names.key_norm = "self_attn.k_norm";
  decoder.query_key_value_bias = decoder.attention_output_bias = config_flag(config, "attention_bias", false);
  return decoder;
}

}  // namespace

Family qwen2_family() {
  return decoder_family(
      {.model_type = "qwen2",
       .architecture = "Qwen2ForCausalLM",
       .models = "Qwen1.5, Qwen2 and Qwen2.5",
       .features = "grouped-query attention, query, key and value biases, sliding windows per layer, scaled rope",
       .limits = "rope parameters per layer type",
       .embedding = "model.embed_tokens.weight",
       .base_prefix = "model.",
       .ties_head = false},
      &read_qwen2);
}

Family qwen3_family() {
  return decoder_family(
      {.model_type = "qwen3",
       .architecture = "Qwen3ForCausalLM",
       .models = "Qwen3 (dense)",
       .features = "grouped-query attention, query and key norms, sliding windows per layer, scaled rope",
       .limits = "rope parameters per layer type",
       .embedding = "model.embed_tokens.weight",
       .base_prefix = "model.",
       .ties_head = false},
      &read_qwen3);
}

}  // namespace lockstep::models
