// Defines the family of GPT-NeoX (Black et al. 2022), computed as in transformers' GPTNeoXForCausalLM.
#include <cmath>

#include "models/config.h"
#include "models/families/all_families.h"
#include "models/families/decoder_family.h"

namespace lockstep::models {
namespace {

DecoderNames gpt_neox_names() {
  return {.base = "gpt_neox",
          .token_embedding = "embed_in",
          .final_norm = "final_layer_norm",
          .query_key_value = "attention.query_key_value",
          .attention_output = "attention.dense",
          .gate = "",
          .up = "mlp.dense_h_to_4h",
          .down = "mlp.dense_4h_to_h"};
}

DecoderConfig read_gpt_neox(const Json& config) {
  refuse_config_key(config, "head_dim");
  DecoderConfig decoder{.names = gpt_neox_names()};
  decoder.vocabulary = config_integer(config, "vocab_size", 50432);
  decoder.features = decoder.embedding_features = config_integer(config, "hidden_size", 6144);
  decoder.layers = config_integer(config, "num_hidden_layers", 44);
  decoder.heads = decoder.key_value_heads = config_integer(config, "num_attention_heads", 64);
  check_heads(decoder.features, "hidden_size", decoder.heads, "num_attention_heads");
  decoder.head_features = decoder.features / decoder.heads;
  decoder.inner_features = config_integer(config, "intermediate_size", 24576);
  decoder.rotary = read_rotary_config(config, {.head_features = decoder.head_features,
                                               .max_positions = config_integer(config, "max_position_embeddings", 2048),
                                               .theta_key = "rotary_emb_base",
                                               .partial_key = "rotary_pct",
                                               .partial = 0.25,
                                               .partial_by_default = true});

  decoder.block = config_flag(config, "use_parallel_residual", true) ? BlockKind::kParallel : BlockKind::kPreNorm;
  decoder.norm = NormKind::kLayer;
  decoder.norm_epsilon = config_number(config, "layer_norm_eps", 1e-5);
  decoder.fused_layout = FusedLayout::kGroups;
  decoder.query_key_value_bias = decoder.attention_output_bias = config_flag(config, "attention_bias", true);
  decoder.mlp_bias = true;
  decoder.activation = activation_by_name(config_text(config, "hidden_act", "gelu"));
  decoder.attention_scale = 1 / std::sqrt(static_cast<double>(decoder.head_features));
  decoder.windows.resize(static_cast<std::size_t>(decoder.layers));

  decoder.attention_dropout = config_probability(config, "attention_dropout", 0);
  decoder.embedding_dropout = decoder.attention_output_dropout = decoder.mlp_output_dropout =
      config_probability(config, "hidden_dropout", 0);
  decoder.initializer_range = config_number(config, "initializer_range", 0.02);
  return decoder;
}

}  // namespace

Family gpt_neox_family() {
  return decoder_family({.model_type = "gpt_neox",
                         .architecture = "GPTNeoXForCausalLM",
                         .models = "GPT-NeoX, Pythia, Dolly v2, RedPajama-INCITE",
                         .features = "parallel or sequential residuals, partial rope, scaled rope",
                         .limits = "head_dim",
                         .embedding = "gpt_neox.embed_in.weight",
                         .base_prefix = "gpt_neox.",
                         .renamed = {{"embed_out.", "lm_head."}},
                         .ignored_suffixes = {".attention.bias", ".attention.masked_bias"},
                         .ties_head = false,
                         .lora_targets = {"query_key_value"}},
                        &read_gpt_neox);
}

}  // namespace lockstep::models
