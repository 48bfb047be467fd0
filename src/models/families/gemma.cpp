// Defines the families of Gemma 1 and 2 (Gemma Team 2024), computed as in transformers' GemmaForCausalLM and
// Gemma2ForCausalLM.
#include <cmath>

#include "models/config.h"
#include "models/families/all_families.h"
#include "models/families/decoder_family.h"

namespace lockstep::models {
namespace {

DecoderConfig read_any_gemma(const Json& config, const LlamaLikeDefaults& defaults) {
  DecoderConfig decoder = read_llama_like(config, defaults);
  decoder.norm = NormKind::kOffsetRms;
  decoder.embedding_scale = std::sqrt(static_cast<double>(decoder.features));
  decoder.query_key_value_bias = decoder.attention_output_bias = config_flag(config, "attention_bias", false);
  return decoder;
}

DecoderConfig read_gemma(const Json& config) {
  Json effective = config;
  // Early files say gelu but mean its tanh approximation.
  if (config_text(config, "hidden_act", "gelu") == "gelu") effective["hidden_act"] = "gelu_pytorch_tanh";
  return read_any_gemma(effective, {.vocabulary = 256000,
                                    .features = 3072,
                                    .inner_features = 24576,
                                    .layers = 28,
                                    .heads = 16,
                                    .key_value_heads = 16,
                                    .head_features = 256,
                                    .max_positions = 8192,
                                    .padding_id = 0});
}

DecoderConfig read_gemma2(const Json& config) {
  DecoderConfig decoder = read_any_gemma(config, {.vocabulary = 256000,
                                                  .features = 2304,
                                                  .inner_features = 9216,
                                                  .layers = 26,
                                                  .heads = 8,
                                                  .key_value_heads = 4,
                                                  .head_features = 256,
                                                  .max_positions = 8192,
                                                  .activation_key = "hidden_activation",
                                                  .activation = "gelu_pytorch_tanh",
                                                  .padding_id = 0});
  decoder.names.mlp_norm = "pre_feedforward_layernorm";
  decoder.names.attention_output_norm = "post_attention_layernorm";
  decoder.names.mlp_output_norm = "post_feedforward_layernorm";
  const std::int64_t scalar = config_integer(config, "query_pre_attn_scalar", 256);
  decoder.attention_scale = 1 / std::sqrt(static_cast<double>(scalar));
  decoder.attention_soft_cap = config_optional_number(config, "attn_logit_softcapping", 50).value_or(0);
  decoder.logit_soft_cap = config_optional_number(config, "final_logit_softcapping", 30).value_or(0);
  decoder.windows = read_layer_types(config, decoder.layers, config_optional_integer(config, "sliding_window", 4096),
                                     [](std::int64_t layer) { return layer % 2 == 0; });
  return decoder;
}

}  // namespace

Family gemma_family() {
  return decoder_family({.model_type = "gemma",
                         .architecture = "GemmaForCausalLM",
                         .models = "Gemma 1, CodeGemma",
                         .features = "grouped-query attention, scaled rope",
                         .limits = "use_bidirectional_attention",
                         .embedding = "model.embed_tokens.weight",
                         .base_prefix = "model.",
                         .ties_head = true},
                        &read_gemma);
}

Family gemma2_family() {
  return decoder_family(
      {.model_type = "gemma2",
       .architecture = "Gemma2ForCausalLM",
       .models = "Gemma 2",
       .features = "grouped-query attention, sliding windows per layer, logit soft-capping, scaled rope",
       .limits = "use_bidirectional_attention, rope parameters per layer type",
       .embedding = "model.embed_tokens.weight",
       .base_prefix = "model.",
       .ties_head = true},
      &read_gemma2);
}

}  // namespace lockstep::models
