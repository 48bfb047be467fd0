// Defines the families of T5 (Raffel et al. 2020), mT5 (Xue et al. 2021) and UMT5 (Chung et al. 2023), computed as in
// transformers' T5ForConditionalGeneration, MT5ForConditionalGeneration and UMT5ForConditionalGeneration.
#include "models/t5/t5.h"

#include "models/config.h"
#include "models/families/all_families.h"

namespace lockstep::models {
namespace {

// transformers' defaults that differ between the families.
struct T5Defaults {
  std::int64_t vocabulary, inner_features, layers, heads;
  const char* feed_forward;
};

T5Config read_any_t5(const Json& config, const T5Defaults& defaults) {
  T5Config t5;
  t5.vocabulary = config_integer(config, "vocab_size", defaults.vocabulary);
  t5.features = config_integer(config, "d_model", 512);
  t5.head_features = config_integer(config, "d_kv", 64);
  t5.inner_features = config_integer(config, "d_ff", defaults.inner_features);
  t5.encoder_layers = config_integer(config, "num_layers", defaults.layers);
  t5.decoder_layers = config_integer(config, "num_decoder_layers", t5.encoder_layers);
  t5.heads = config_integer(config, "num_heads", defaults.heads);
  t5.buckets = config_integer(config, "relative_attention_num_buckets", 32);
  t5.max_distance = config_integer(config, "relative_attention_max_distance", 128);
  t5.dropout = config_probability(config, "dropout_rate", 0.1);
  t5.norm_epsilon = config_number(config, "layer_norm_epsilon", 1e-6);
  t5.initializer_factor = config_number(config, "initializer_factor", 1);
  const std::string feed_forward = config_text(config, "feed_forward_proj", defaults.feed_forward);
  t5.gated = feed_forward.starts_with("gated-");
  const std::string name = t5.gated ? feed_forward.substr(6) : feed_forward;
  t5.activation = activation_by_name(feed_forward == "gated-gelu" ? "gelu_new" : name);
  return t5;
}

// transformers scales outputs if tie_word_embeddings is true, which marks T5 v1.0, unless scale_decoder_outputs is set.
T5Config read_t5(const Json& config) {
  T5Config t5 = read_any_t5(config, {32128, 2048, 6, 8, "relu"});
  t5.scale_outputs = config_flag(config, "scale_decoder_outputs", config_flag(config, "tie_word_embeddings", true));
  return t5;
}

T5Config read_mt5(const Json& config) { return read_any_t5(config, {250112, 1024, 8, 6, "gated-gelu"}); }

T5Config read_umt5(const Json& config) {
  T5Config t5 = read_any_t5(config, {250112, 1024, 8, 6, "gated-gelu"});
  t5.bias_in_each_layer = true;
  t5.scale_outputs = true;
  return t5;
}

// Only the weights tell whether a head is tied: tie_word_embeddings means something else in T5, and nothing in the
// other families.
Family t5_like_family(Family family, T5Config (*read)(const Json& config)) {
  family.embedding = "shared.weight";
  family.embedding_aliases = {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"};
  family.ignored_suffixes = {"EncDecAttention.relative_attention_bias.weight"};
  family.reads_tie_flag = false;
  family.lora_targets = {"q", "v"};
  family.build = [read, model_type = family.model_type, architecture = family.architecture](
                     const Json& config, const BuildOptions& options) {
    refuse_config_key(config, "quantization_config",
                      "give the original model before quantisation, or convert its weights to fp32");
    T5Config parsed = read(config);
    parsed.untied_head = options.untied_head;
    const std::int64_t padding = model_type == "t5" ? config_token(config, "pad_token_id", 0) : 0;
    const std::int64_t start = config_token(config, "decoder_start_token_id", padding);
    ModelInfo info{.model_type = model_type,
                   .architecture = architecture,
                   .has_encoder = true,
                   .vocabulary_size = parsed.vocabulary,
                   .hidden_size = parsed.features,
                   .max_positions = std::nullopt,
                   .decoder_start_id = static_cast<TokenId>(start),
                   .config = config,
                   .generation_config = options.generation_config};
    return make_t5(std::move(info), parsed);
  };
  return family;
}

}  // namespace

Family t5_family() {
  return t5_like_family({.model_type = "t5",
                         .architecture = "T5ForConditionalGeneration",
                         .models = "T5 v1.0 and v1.1, Flan-T5, ByT5",
                         .features = "plain and gated feed-forward, tied and separate output heads"},
                        &read_t5);
}

Family mt5_family() {
  return t5_like_family({.model_type = "mt5",
                         .architecture = "MT5ForConditionalGeneration",
                         .models = "mT5",
                         .features = "plain and gated feed-forward, tied and separate output heads"},
                        &read_mt5);
}

Family umt5_family() {
  return t5_like_family({.model_type = "umt5",
                         .architecture = "UMT5ForConditionalGeneration",
                         .models = "UMT5",
                         .features = "plain and gated feed-forward, tied and separate output heads"},
                        &read_umt5);
}

}  // namespace lockstep::models
