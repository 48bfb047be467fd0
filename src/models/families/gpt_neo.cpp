// Defines the family of GPT-Neo (Black et al. 2021), computed as in transformers' GPTNeoForCausalLM.
#include <fmt/format.h>

#include "lockstep/core/error.h"
#include "models/config.h"
#include "models/families/all_families.h"
#include "models/families/decoder_family.h"

namespace lockstep::models {
namespace {

DecoderNames gpt_neo_names() {
  return {.base = "transformer",
          .token_embedding = "wte",
          .position_embedding = "wpe",
          .layers = "h",
          .final_norm = "ln_f",
          .attention_norm = "ln_1",
          .mlp_norm = "ln_2",
          .query = "attn.attention.q_proj",
          .key = "attn.attention.k_proj",
          .value = "attn.attention.v_proj",
          .attention_output = "attn.attention.out_proj",
          .gate = "",
          .up = "mlp.c_fc",
          .down = "mlp.c_proj"};
}

// Returns the kind of each layer from "attention_layers", or else from "attention_types", [[[kind, ...], repetitions],
// ...].
Json layer_kinds(const Json& config) {
  if (config.contains("attention_layers") && config["attention_layers"].is_array()) return config["attention_layers"];
  Json types = Json::parse(R"([[["global", "local"], 12]])");
  if (config.contains("attention_types") && !config["attention_types"].is_null()) types = config["attention_types"];
  Json kinds = Json::array();
  for (const Json& item : types) {
    if (!item.is_array() || item.size() != 2 || !item[0].is_array() || !item[1].is_number_unsigned()) {
      throw InputError("config.json: attention_types: expected [[[kind, ...], repetitions], ...]");
    }
    for (std::int64_t i = 0; i < item[1].get<std::int64_t>(); ++i) {
      kinds.insert(kinds.end(), item[0].begin(), item[0].end());
    }
  }
  return kinds;
}

std::vector<std::optional<std::int64_t>> read_windows(const Json& config, std::int64_t layers) {
  const Json kinds = layer_kinds(config);
  if (kinds.size() != static_cast<std::size_t>(layers)) {
    throw InputError(fmt::format("config.json: attention_types: expected kinds of {} layers (num_layers), found {}",
                                 layers, kinds.size()));
  }
  const std::int64_t window = config_integer(config, "window_size", 256);
  std::vector<std::optional<std::int64_t>> windows;
  for (const Json& kind : kinds) {
    if (kind != "global" && kind != "local") {
      throw InputError(
          fmt::format("config.json: attention_types: {} is not supported (supported: global, local)", kind.dump()));
    }
    windows.push_back(kind == "local" ? std::optional(window) : std::nullopt);
  }
  return windows;
}

DecoderConfig read_gpt_neo(const Json& config) {
  DecoderConfig decoder{.names = gpt_neo_names()};
  decoder.vocabulary = config_integer(config, "vocab_size", 50257);
  decoder.features = decoder.embedding_features = config_integer(config, "hidden_size", 2048);
  decoder.layers = config_integer(config, "num_layers", 24);
  decoder.heads = decoder.key_value_heads = config_integer(config, "num_heads", 16);
  check_heads(decoder.features, "hidden_size", decoder.heads, "num_heads");
  decoder.head_features = decoder.features / decoder.heads;
  decoder.inner_features = config_integer(config, "intermediate_size", 4 * decoder.features);
  decoder.positions = PositionKind::kLearned;
  decoder.max_positions = config_integer(config, "max_position_embeddings", 2048);
  decoder.windows = read_windows(config, decoder.layers);

  decoder.norm = NormKind::kLayer;
  decoder.norm_epsilon = config_number(config, "layer_norm_epsilon", 1e-5);
  decoder.attention_output_bias = decoder.mlp_bias = true;
  decoder.activation = activation_by_name(config_text(config, "activation_function", "gelu_new"));

  decoder.embedding_dropout = config_probability(config, "embed_dropout", 0);
  decoder.attention_dropout = config_probability(config, "attention_dropout", 0);
  decoder.attention_output_dropout = decoder.mlp_output_dropout = config_probability(config, "resid_dropout", 0);
  decoder.initializer_range = config_number(config, "initializer_range", 0.02);
  return decoder;
}

}  // namespace

Family gpt_neo_family() {
  return decoder_family({.model_type = "gpt_neo",
                         .architecture = "GPTNeoForCausalLM",
                         .models = "GPT-Neo",
                         .features = "global and local attention",
                         .embedding = "transformer.wte.weight",
                         .base_prefix = "transformer.",
                         .ignored_suffixes = {".attn.attention.bias", ".attn.attention.masked_bias"}},
                        &read_gpt_neo);
}

}  // namespace lockstep::models
