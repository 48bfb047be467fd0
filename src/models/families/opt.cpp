// Defines the family of OPT (Zhang et al. 2022), computed as in transformers' OPTForCausalLM.
#include <cmath>

#include "lockstep/core/error.h"
#include "models/config.h"
#include "models/families/all_families.h"
#include "models/families/decoder_family.h"

namespace lockstep::models {
namespace {

DecoderNames opt_names() {
  return {.base = "model.decoder",
          .position_embedding = "embed_positions",
          .final_norm = "final_layer_norm",
          .attention_norm = "self_attn_layer_norm",
          .mlp_norm = "final_layer_norm",
          .attention_output = "self_attn.out_proj",
          .gate = "",
          .up = "fc1",
          .down = "fc2"};
}

DecoderConfig read_opt(const Json& config) {
  if (config_number(config, "layerdrop", 0) != 0) throw InputError("config.json: layerdrop is not supported");
  DecoderConfig decoder{.names = opt_names()};
  decoder.vocabulary = config_integer(config, "vocab_size", 50272);
  decoder.features = config_integer(config, "hidden_size", 768);
  decoder.embedding_features = config_integer(config, "word_embed_proj_dim", decoder.features);
  decoder.layers = config_integer(config, "num_hidden_layers", 12);
  decoder.heads = decoder.key_value_heads = config_integer(config, "num_attention_heads", 12);
  check_heads(decoder.features, "hidden_size", decoder.heads, "num_attention_heads");
  decoder.head_features = decoder.features / decoder.heads;
  decoder.inner_features = config_integer(config, "ffn_dim", 3072);
  decoder.padding_id = read_padding_id(config, 1, decoder.vocabulary);
  decoder.positions = PositionKind::kLearned;
  decoder.max_positions = config_integer(config, "max_position_embeddings", 2048);
  decoder.position_offset = 2;

  const bool norms_first = config_flag(config, "do_layer_norm_before", true);
  decoder.block = norms_first ? BlockKind::kPreNorm : BlockKind::kPostNorm;
  decoder.has_final_norm = norms_first && !config_flag(config, "_remove_final_layer_norm", false);
  decoder.norm = NormKind::kLayer;
  decoder.norm_epsilon = 1e-5;
  decoder.affine_norms = config_flag(config, "layer_norm_elementwise_affine", true);
  decoder.query_key_value_bias = decoder.attention_output_bias = decoder.mlp_bias =
      config_flag(config, "enable_bias", true);
  decoder.activation = activation_by_name(config_text(config, "activation_function", "relu"));
  decoder.attention_scale = 1 / std::sqrt(static_cast<double>(decoder.head_features));
  decoder.windows.resize(static_cast<std::size_t>(decoder.layers));

  decoder.attention_dropout = config_probability(config, "attention_dropout", 0);
  decoder.attention_output_dropout = decoder.mlp_output_dropout = config_probability(config, "dropout", 0.1);
  decoder.initializer_range = config_number(config, "init_std", 0.02);
  return decoder;
}

}  // namespace

Family opt_family() {
  return decoder_family({.model_type = "opt",
                         .architecture = "OPTForCausalLM",
                         .models = "OPT",
                         .features = "pre-norm or post-norm, projected embeddings, norms without weights, no biases",
                         .limits = "layerdrop",
                         .embedding = "model.decoder.embed_tokens.weight",
                         .base_prefix = "model."},
                        &read_opt);
}

}  // namespace lockstep::models
