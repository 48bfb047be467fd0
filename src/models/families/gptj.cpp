// Defines the family of GPT-J (Wang and Komatsuzaki 2021), computed as in transformers' GPTJForCausalLM.
#include <fmt/format.h>

#include <cmath>

#include "lockstep/core/error.h"
#include "models/config.h"
#include "models/families/all_families.h"
#include "models/families/decoder_family.h"

namespace lockstep::models {
namespace {

// mlp_norm is empty: the MLP has the same input as attention.
DecoderNames gptj_names() {
  return {.base = "transformer",
          .token_embedding = "wte",
          .layers = "h",
          .final_norm = "ln_f",
          .attention_norm = "ln_1",
          .mlp_norm = "",
          .query = "attn.q_proj",
          .key = "attn.k_proj",
          .value = "attn.v_proj",
          .attention_output = "attn.out_proj",
          .gate = "",
          .up = "mlp.fc_in",
          .down = "mlp.fc_out"};
}

DecoderConfig read_gptj(const Json& config) {
  DecoderConfig decoder{.names = gptj_names()};
  decoder.vocabulary = config_integer(config, "vocab_size", 50400);
  decoder.features = decoder.embedding_features = config_integer(config, "n_embd", 4096);
  decoder.layers = config_integer(config, "n_layer", 28);
  decoder.heads = decoder.key_value_heads = config_integer(config, "n_head", 16);
  check_heads(decoder.features, "n_embd", decoder.heads, "n_head");
  decoder.head_features = decoder.features / decoder.heads;
  decoder.inner_features = config_integer(config, "n_inner", 4 * decoder.features);
  decoder.max_positions = config_integer(config, "n_positions", 2048);
  decoder.rotary.features = config_integer(config, "rotary_dim", 64);
  decoder.rotary.interleaved = true;
  if (decoder.rotary.features % 2 != 0 || decoder.rotary.features > decoder.head_features) {
    throw InputError(
        fmt::format("config.json: rotary_dim: expected an even number up to {} (n_embd / n_head), found {}",
                    decoder.head_features, decoder.rotary.features));
  }

  decoder.block = BlockKind::kParallel;
  decoder.norm = NormKind::kLayer;
  decoder.norm_epsilon = config_number(config, "layer_norm_epsilon", 1e-5);
  decoder.mlp_bias = true;
  decoder.head_bias = true;
  decoder.activation = activation_by_name(config_text(config, "activation_function", "gelu_new"));
  decoder.attention_scale = 1 / std::sqrt(static_cast<double>(decoder.head_features));
  decoder.windows.resize(static_cast<std::size_t>(decoder.layers));

  decoder.embedding_dropout = config_probability(config, "embd_pdrop", 0);
  decoder.attention_dropout = config_probability(config, "attn_pdrop", 0);
  decoder.attention_output_dropout = decoder.mlp_output_dropout = config_probability(config, "resid_pdrop", 0);
  decoder.initializer_range = config_number(config, "initializer_range", 0.02);
  return decoder;
}

}  // namespace

Family gptj_family() {
  return decoder_family({.model_type = "gptj",
                         .architecture = "GPTJForCausalLM",
                         .models = "GPT-J",
                         .features = "interleaved rope, parallel residuals",
                         .embedding = "transformer.wte.weight",
                         .base_prefix = "transformer.",
                         .ignored_suffixes = {".attn.bias", ".attn.masked_bias"},
                         .ties_head = false},
                        &read_gptj);
}

}  // namespace lockstep::models
