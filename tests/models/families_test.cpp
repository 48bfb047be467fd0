#include "lockstep/models/families.h"

#include <gmock/gmock.h>

#include "lockstep/core/error.h"
#include "lockstep/data/model_folder.h"

namespace lockstep::models {
namespace {

using testing::HasSubstr;

std::string refusal(const std::string& text) {
  const Json config = Json::parse(text);
  try {
    find_family(config).build(config, {});
  } catch (const InputError& error) {
    return error.what();
  }
  return "built";
}

TEST(Families, DescribeTheModelTypeOfTheirRow) {
  for (const Family& family : families()) {
    EXPECT_EQ(family.model_type, family.facts->model_type);
    EXPECT_FALSE(family.models.empty());
    EXPECT_FALSE(family.embedding.empty());
  }
}

// Preparation and the models must agree on the sizes and limits that config.json implies.
TEST(Families, HaveTheDefaultsThatPreparationKnows) {
  for (const data::ModelFamily& known : data::supported_model_families()) {
    Json config = Json::parse(R"({
      "num_hidden_layers": 1, "n_layer": 1, "num_layers": 1, "attention_types": [[["global"], 1]], "hidden_size": 8,
      "n_embd": 8, "d_model": 8, "intermediate_size": 8, "d_ff": 8, "num_attention_heads": 1, "n_head": 1,
      "num_heads": 1, "num_key_value_heads": 1, "rotary_dim": 8})");
    config["model_type"] = known.model_type;
    const auto model = find_family(config).build(config, {});
    EXPECT_EQ(model->info().has_encoder, known.has_encoder) << known.model_type;
    EXPECT_EQ(model->info().vocabulary_size, static_cast<std::int64_t>(known.default_vocabulary)) << known.model_type;
    EXPECT_EQ(model->info().max_positions.has_value(), !known.positions_key.empty()) << known.model_type;
    EXPECT_EQ(model->info().max_positions.value_or(0), static_cast<std::int64_t>(known.default_positions))
        << known.model_type;
  }
}

TEST(Families, RefuseByNameWhatTheyDoNotCompute) {
  EXPECT_THAT(refusal(R"({"model_type": "bert"})"), HasSubstr("bert"));
  EXPECT_THAT(refusal(R"({"model_type": "gpt2", "add_cross_attention": true})"), HasSubstr("add_cross_attention"));
  EXPECT_THAT(refusal(R"({"model_type": "llama", "quantization_config": {}})"), HasSubstr("quantization_config"));
  EXPECT_THAT(refusal(R"({"model_type": "llama", "hidden_act": "xielu"})"), HasSubstr("xielu"));
  EXPECT_THAT(refusal(R"({"model_type": "llama", "num_attention_heads": 6, "num_key_value_heads": 4})"),
              HasSubstr("num_key_value_heads"));
  EXPECT_THAT(refusal(R"({"model_type": "llama", "rope_scaling": {"type": "mrope"}})"), HasSubstr("mrope"));
  EXPECT_THAT(refusal(R"({"model_type": "llama", "rope_parameters": {"rope_type": "llama3", "factor": 8}})"),
              HasSubstr("low_freq_factor"));
  EXPECT_THAT(refusal(R"({"model_type": "qwen2", "rope_parameters": {"full_attention": {"rope_theta": 1}}})"),
              HasSubstr("full_attention"));
  EXPECT_THAT(refusal(R"({"model_type": "qwen2", "num_hidden_layers": 1, "layer_types": ["chunked_attention"]})"),
              HasSubstr("chunked_attention"));
  EXPECT_THAT(refusal(R"({"model_type": "qwen3", "num_hidden_layers": 1, "layer_types": ["sliding_attention"]})"),
              HasSubstr("sliding_window"));
  EXPECT_THAT(refusal(R"({"model_type": "gpt_neox", "head_dim": 9})"), HasSubstr("head_dim"));
  EXPECT_THAT(refusal(R"({"model_type": "gpt_neox", "hidden_size": 28, "num_attention_heads": 1, "rotary_pct": 0.25,
                          "rope_scaling": {"type": "yarn", "factor": 2}})"),
              HasSubstr("even number"));
  EXPECT_THAT(refusal(R"({"model_type": "phi3", "rope_scaling": {"type": "linear", "factor": 2}})"),
              HasSubstr("linear"));
  EXPECT_THAT(refusal(R"({"model_type": "phi3", "vocab_size": 100})"), HasSubstr("pad_token_id"));
  EXPECT_THAT(refusal(R"({"model_type": "gemma", "use_bidirectional_attention": true})"),
              HasSubstr("use_bidirectional_attention"));
  EXPECT_THAT(refusal(R"({"model_type": "gptj", "rotary_dim": 5})"), HasSubstr("rotary_dim"));
  EXPECT_THAT(refusal(R"({"model_type": "gpt_neo", "num_layers": 3})"), HasSubstr("3 layers (num_layers), found 24"));
  EXPECT_THAT(refusal(R"({"model_type": "opt", "layerdrop": 0.1})"), HasSubstr("layerdrop"));
  EXPECT_THAT(refusal(R"({"model_type": "falcon", "new_decoder_architecture": true, "parallel_attn": false})"),
              HasSubstr("parallel_attn"));
}

}  // namespace
}  // namespace lockstep::models
