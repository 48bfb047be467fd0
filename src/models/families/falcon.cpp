// Defines the family of Falcon (Almazrouei et al. 2023), computed as in transformers' FalconForCausalLM.
#include <cmath>

#include "lockstep/core/error.h"
#include "models/config.h"
#include "models/families/all_families.h"
#include "models/families/decoder_family.h"

namespace lockstep::models {
namespace {

DecoderNames falcon_names() {
  return {.base = "transformer",
          .token_embedding = "word_embeddings",
          .layers = "h",
          .final_norm = "ln_f",
          .query_key_value = "self_attention.query_key_value",
          .attention_output = "self_attention.dense",
          .gate = "",
          .up = "mlp.dense_h_to_4h",
          .down = "mlp.dense_4h_to_h"};
}

// The new architecture has any number of key heads; the old one has a single key head, or one per head.
std::int64_t read_key_heads(const Json& config, std::int64_t heads, bool is_new) {
  const std::int64_t given = config_integer(config, "num_kv_heads", heads);
  if (is_new) {
    check_heads(heads, "num_attention_heads", given, "num_kv_heads");
    return given;
  }
  if (config_flag(config, "multi_query", true)) return 1;
  if (given != heads) throw InputError("config.json: num_kv_heads must equal num_attention_heads without multi_query");
  return heads;
}

// Selects a parallel block with one norm or two, or a sequential block.
void read_block(const Json& config, bool is_new, DecoderConfig& decoder) {
  const bool parallel = config_flag(config, "parallel_attn", true);
  const std::int64_t norms = config_integer(config, "num_ln_in_parallel_attn", is_new ? 2 : 1);
  if (is_new && !parallel) {
    throw InputError("config.json: parallel_attn: false is not supported with new_decoder_architecture");
  }
  if (parallel && (norms > 2 || (norms == 2 && !is_new))) {
    throw InputError("config.json: num_ln_in_parallel_attn: expected 1, or 2 with new_decoder_architecture");
  }
  decoder.block = parallel ? BlockKind::kParallel : BlockKind::kPreNorm;
  decoder.joint_dropout = parallel;
  if (!parallel) return;
  decoder.names.attention_norm = norms == 2 ? "ln_attn" : "input_layernorm";
  decoder.names.mlp_norm = norms == 2 ? "ln_mlp" : "";
}

DecoderConfig read_falcon(const Json& config) {
  refuse_config_key(config, "head_dim");
  const bool is_new = config_flag(config, "new_decoder_architecture", false);
  DecoderConfig decoder{.names = falcon_names()};
  decoder.vocabulary = config_integer(config, "vocab_size", 65024);
  decoder.features = decoder.embedding_features =
      config_integer(config, "n_embed", config_integer(config, "hidden_size", 4544));
  decoder.layers = config_integer(config, "num_hidden_layers", 32);
  decoder.heads = config_integer(config, "num_attention_heads", 71);
  check_heads(decoder.features, "hidden_size", decoder.heads, "num_attention_heads");
  decoder.head_features = decoder.features / decoder.heads;
  decoder.key_value_heads = read_key_heads(config, decoder.heads, is_new);
  decoder.inner_features = config_integer(config, "ffn_hidden_size", 4 * decoder.features);
  const bool has_alibi = config_flag(config, "alibi", false);
  decoder.positions = has_alibi ? PositionKind::kAlibi : PositionKind::kRotary;
  if (!has_alibi) {
    decoder.rotary =
        read_rotary_config(config, {.head_features = decoder.head_features,
                                    .max_positions = config_integer(config, "max_position_embeddings", 2048)});
  }

  read_block(config, is_new, decoder);
  decoder.norm = NormKind::kLayer;
  decoder.norm_epsilon = config_number(config, "layer_norm_epsilon", 1e-5);
  decoder.fused_layout = FusedLayout::kGroups;
  decoder.query_key_value_bias = decoder.attention_output_bias = decoder.mlp_bias = config_flag(config, "bias", false);
  decoder.activation = activation_by_name(config_text(config, "activation", "gelu"));
  decoder.attention_scale = 1 / std::sqrt(static_cast<double>(decoder.head_features));
  decoder.windows.resize(static_cast<std::size_t>(decoder.layers));

  // transformers applies attention_dropout to the output of attention, and to the softmax only with ALiBi.
  const double attention_dropout = config_probability(config, "attention_dropout", 0);
  decoder.attention_dropout = has_alibi ? attention_dropout : 0;
  decoder.attention_output_dropout = attention_dropout;
  decoder.mlp_output_dropout = config_probability(config, "hidden_dropout", 0);
  decoder.initializer_range = config_number(config, "initializer_range", 0.02);
  return decoder;
}

}  // namespace

Family falcon_family() {
  return decoder_family(
      {.model_type = "falcon",
       .architecture = "FalconForCausalLM",
       .models = "Falcon 7B, 40B, 11B and RW",
       .features =
           "multi-query, grouped-query or multi-head attention, parallel or sequential residuals, ALiBi, scaled rope",
       .limits = "head_dim, new_decoder_architecture without parallel_attn",
       .embedding = "transformer.word_embeddings.weight",
       .base_prefix = "transformer.",
       .lora_targets = {"query_key_value"}},
      &read_falcon);
}

}  // namespace lockstep::models
