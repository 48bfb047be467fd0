#include "models/families/decoder_family.h"

#include <fmt/format.h>

#include <cmath>

#include "lockstep/core/error.h"
#include "models/config.h"
#include "models/decoder/decoder.h"

namespace lockstep::models {
namespace {

// Refuses unsupported options of transformers' PreTrainedConfig that would change the computation of any model.
void refuse_common_options(const Json& config) {
  refuse_config_key(config, "quantization_config",
                    "give the original model before quantisation, or convert its weights to fp32");
  refuse_config_key(config, "per_layer_config");
  refuse_config_flag(config, "add_cross_attention");
  refuse_config_flag(config, "use_bidirectional_attention");
  if (!config_flag(config, "is_causal", true)) throw InputError("config.json: is_causal: false is not supported");
}

}  // namespace

Family decoder_family(Family family, DecoderConfig (*read)(const Json& config)) {
  family.ignored_suffixes.emplace_back("rotary_emb.inv_freq");
  family.build = [read, model_type = family.model_type, architecture = family.architecture](
                     const Json& config, const BuildOptions& options) -> std::shared_ptr<LanguageModel> {
    refuse_common_options(config);
    DecoderConfig parsed = read(config);
    parsed.untied_head = options.untied_head;
    if (parsed.initializer_range == 0) parsed.initializer_range = 0.02;  // as in transformers
    ModelInfo info{.model_type = model_type,
                   .architecture = architecture,
                   .has_encoder = false,
                   .vocabulary_size = parsed.vocabulary,
                   .hidden_size = parsed.features,
                   .max_positions = parsed.max_positions,
                   .config = config,
                   .generation_config = options.generation_config};
    return std::make_shared<Decoder>(std::move(info), std::move(parsed));
  };
  return family;
}

std::optional<std::int64_t> read_padding_id(const Json& config, std::optional<std::int64_t> fallback,
                                            std::int64_t vocabulary) {
  std::optional<std::int64_t> id = fallback;
  if (const auto found = config.find("pad_token_id"); found != config.end()) {
    if (!found->is_null() && !found->is_number_integer()) {
      throw InputError(fmt::format("config.json: pad_token_id: expected a token id, found {}", found->dump()));
    }
    id = found->is_null() ? std::nullopt : std::optional(found->get<std::int64_t>());
  }
  if (!id) return id;
  if (*id >= vocabulary || *id < -vocabulary) {
    throw InputError(
        fmt::format("config.json: pad_token_id: expected one of {} tokens (vocab_size), found {}", vocabulary, *id));
  }
  return *id < 0 ? *id + vocabulary : *id;
}

void check_heads(std::int64_t features, const char* features_key, std::int64_t heads, const char* heads_key) {
  if (features % heads == 0) return;
  throw InputError(
      fmt::format("config.json: {} {} is not divisible by {} {}", features_key, features, heads_key, heads));
}

std::vector<std::optional<std::int64_t>> read_layer_types(const Json& config, std::int64_t layers,
                                                          std::optional<std::int64_t> window,
                                                          const std::function<bool(std::int64_t)>& is_sliding) {
  std::vector<std::optional<std::int64_t>> windows(static_cast<std::size_t>(layers));
  const auto types = config.find("layer_types");
  const bool named = types != config.end() && !types->is_null();
  if (named && (!types->is_array() || types->size() != windows.size())) {
    throw InputError(
        fmt::format("config.json: layer_types: expected a list of {} entries (num_hidden_layers)", layers));
  }
  for (std::size_t layer = 0; layer < windows.size(); ++layer) {
    bool sliding = !named && is_sliding(static_cast<std::int64_t>(layer));
    if (named) {
      const Json& type = (*types)[layer];
      sliding = type == "sliding_attention";
      if (!sliding && type != "full_attention" && type != "attention") {
        throw InputError(
            fmt::format("config.json: layer_types: {} is not supported (supported: full_attention, "
                        "sliding_attention)",
                        type.dump()));
      }
    }
    if (!sliding) continue;
    if (!window) throw InputError("config.json: layer_types: sliding_attention needs an enabled sliding_window");
    windows[layer] = window;
  }
  return windows;
}

DecoderConfig read_llama_like(const Json& config, const LlamaLikeDefaults& defaults) {
  DecoderConfig decoder;
  decoder.vocabulary = config_integer(config, "vocab_size", defaults.vocabulary);
  decoder.features = decoder.embedding_features = config_integer(config, "hidden_size", defaults.features);
  decoder.inner_features = config_integer(config, "intermediate_size", defaults.inner_features);
  decoder.layers = config_integer(config, "num_hidden_layers", defaults.layers);
  decoder.heads = config_integer(config, "num_attention_heads", defaults.heads);
  decoder.key_value_heads =
      config_optional_integer(config, "num_key_value_heads", defaults.key_value_heads).value_or(decoder.heads);
  decoder.head_features =
      config_optional_integer(config, "head_dim", defaults.head_features).value_or(decoder.features / decoder.heads);
  check_heads(decoder.heads, "num_attention_heads", decoder.key_value_heads, "num_key_value_heads");
  decoder.attention_scale = 1 / std::sqrt(static_cast<double>(decoder.head_features));
  decoder.activation = activation_by_name(config_text(config, defaults.activation_key, defaults.activation));
  decoder.norm_epsilon = config_number(config, "rms_norm_eps", defaults.norm_epsilon);
  decoder.padding_id = read_padding_id(config, defaults.padding_id, decoder.vocabulary);
  decoder.attention_dropout = config_probability(config, "attention_dropout", 0);
  decoder.initializer_range = config_number(config, "initializer_range", 0.02);
  decoder.windows.resize(static_cast<std::size_t>(decoder.layers));
  decoder.rotary = read_rotary_config(
      config, {.head_features = decoder.head_features,
               .max_positions = config_integer(config, "max_position_embeddings", defaults.max_positions),
               .partial_by_default = defaults.partial_rotation});
  return decoder;
}

}  // namespace lockstep::models
