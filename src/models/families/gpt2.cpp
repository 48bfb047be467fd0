// Defines the family of GPT-2 (Radford et al. 2019), computed as in transformers' GPT2LMHeadModel.
#include <cmath>

#include "models/config.h"
#include "models/families/all_families.h"
#include "models/families/decoder_family.h"

namespace lockstep::models {
namespace {

DecoderNames gpt2_names() {
  return {.base = "transformer",
          .token_embedding = "wte",
          .position_embedding = "wpe",
          .layers = "h",
          .final_norm = "ln_f",
          .attention_norm = "ln_1",
          .mlp_norm = "ln_2",
          .query_key_value = "attn.c_attn",
          .attention_output = "attn.c_proj",
          .gate = "",
          .up = "mlp.c_fc",
          .down = "mlp.c_proj"};
}

DecoderConfig read_gpt2(const Json& config) {
  DecoderConfig decoder{.names = gpt2_names()};
  decoder.vocabulary = config_integer(config, "vocab_size", 50257);
  decoder.features = decoder.embedding_features = config_integer(config, "n_embd", 768);
  decoder.layers = config_integer(config, "n_layer", 12);
  decoder.heads = decoder.key_value_heads = config_integer(config, "n_head", 12);
  check_heads(decoder.features, "n_embd", decoder.heads, "n_head");
  decoder.head_features = decoder.features / decoder.heads;
  decoder.inner_features = config_integer(config, "n_inner", 4 * decoder.features);
  decoder.positions = PositionKind::kLearned;
  decoder.max_positions = config_integer(config, "n_positions", 1024);

  decoder.norm = NormKind::kLayer;
  decoder.norm_epsilon = config_number(config, "layer_norm_epsilon", 1e-5);
  decoder.conv1d = true;
  decoder.query_key_value_bias = decoder.attention_output_bias = decoder.mlp_bias = true;
  decoder.activation = activation_by_name(config_text(config, "activation_function", "gelu_new"));
  if (config_flag(config, "scale_attn_weights", true)) {
    decoder.attention_scale = 1 / std::sqrt(static_cast<double>(decoder.head_features));
  }
  decoder.scale_by_inverse_layer = config_flag(config, "scale_attn_by_inverse_layer_idx", false);
  decoder.windows.resize(static_cast<std::size_t>(decoder.layers));

  decoder.embedding_dropout = config_probability(config, "embd_pdrop", 0.1);
  decoder.attention_dropout = config_probability(config, "attn_pdrop", 0.1);
  decoder.attention_output_dropout = decoder.mlp_output_dropout = config_probability(config, "resid_pdrop", 0.1);
  decoder.initializer_range = config_number(config, "initializer_range", 0.02);
  decoder.scale_residual_weights = true;
  return decoder;
}

}  // namespace

Family gpt2_family() {
  return decoder_family({.model_type = "gpt2",
                         .architecture = "GPT2LMHeadModel",
                         .models = "GPT-2, DistilGPT-2",
                         .features = "scale_attn_weights, scale_attn_by_inverse_layer_idx",
                         .limits = "add_cross_attention",
                         .embedding = "transformer.wte.weight",
                         .base_prefix = "transformer.",
                         .ignored_suffixes = {".attn.bias", ".attn.masked_bias"},
                         .lora_targets = {"c_attn"}},
                        &read_gpt2);
}

}  // namespace lockstep::models
