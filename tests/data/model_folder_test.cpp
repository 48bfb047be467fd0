#include "lockstep/data/model_folder.h"

#include <gmock/gmock.h>

#include "data/fixtures.h"

namespace lockstep::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string config_error(const std::string& config) {
  const test::TemporaryFolder folder;
  folder.write("config.json", config);
  return test::input_error([&] { describe_model_folder(folder.path()); });
}

TEST(ModelFolder, ReadsWhatTheDataPathNeeds) {
  const test::TemporaryFolder folder;
  folder.write("config.json", R"({"model_type": "gpt2", "vocab_size": 300, "n_positions": 64})");
  const ModelFolder gpt = describe_model_folder(folder.path());
  EXPECT_FALSE(gpt.has_encoder);
  EXPECT_EQ(gpt.vocabulary_size, 300U);
  EXPECT_EQ(gpt.max_positions, 64U);
  folder.write("config.json", R"({"model_type": "t5", "n_positions": 512})");
  const ModelFolder t5 = describe_model_folder(folder.path());
  EXPECT_TRUE(t5.has_encoder);
  EXPECT_EQ(t5.vocabulary_size, 32128U);
  EXPECT_EQ(t5.max_positions, std::nullopt);
  EXPECT_THAT(test::input_error([&] { check_has_encoder(t5, false, folder.path()); }), HasSubstr("has_encoder: true"));
}

TEST(ModelFolder, NamesWhatIsMissingOrNotSupported) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(test::input_error([&] { describe_model_folder(folder.path() / "none"); }), HasSubstr("none"));
  EXPECT_THAT(test::input_error([&] { describe_model_folder(folder.path()); }), HasSubstr("config.json"));
  EXPECT_THAT(config_error(R"({"model_type": "bert"})"),
              AllOf(HasSubstr("bert"), HasSubstr("t5, mt5, umt5, gpt2, llama")));
  EXPECT_THAT(config_error("{}"), HasSubstr("model_type"));
  EXPECT_THAT(config_error("{"), HasSubstr("line 1"));
  EXPECT_THAT(config_error(R"({"model_type": "t5", "vocab_size": "many"})"), HasSubstr("vocab_size"));
  EXPECT_THAT(config_error(R"({"model_type": "t5", "is_encoder_decoder": false})"), HasSubstr("is_encoder_decoder"));
}

TEST(ResolveMaxLength, PrefersTheJobThenTheTokenizerThenTheModel) {
  test::ByteTokenizer tokenizer;
  EXPECT_EQ(resolve_max_length(100, tokenizer, 64), 64U);
  EXPECT_EQ(resolve_max_length(100, tokenizer, std::nullopt), 100U);
  EXPECT_EQ(resolve_max_length(std::nullopt, tokenizer, std::nullopt), std::nullopt);
  EXPECT_EQ(resolve_max_length(std::nullopt, tokenizer, 64), 64U);
  tokenizer.set_model_max_length(32);
  EXPECT_EQ(resolve_max_length(std::nullopt, tokenizer, 64), 32U);
  EXPECT_EQ(resolve_max_length(std::nullopt, tokenizer, 16), 16U);
  EXPECT_EQ(resolve_max_length(48, tokenizer, 64), 48U);
}

}  // namespace
}  // namespace lockstep::data
