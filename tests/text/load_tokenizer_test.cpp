#include "lockstep/text/load_tokenizer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/json.h"

namespace lockstep::text {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path kTokenizers = fs::path(LOCKSTEP_FIXTURES) / "tokenizers";

class LoadTokenizer : public testing::Test {
 protected:
  LoadTokenizer() : folder_(fs::temp_directory_path() / ("lockstep-text-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~LoadTokenizer() override { fs::remove_all(folder_); }

  void copy(const char* tokenizer) { fs::copy(kTokenizers / tokenizer, folder_, fs::copy_options::recursive); }
  void write(const char* name, const Json& json) { core::write_json_file(folder_ / name, json); }

  // Writes a word-level tokenizer.json with `components` merged into it.
  void write_tokenizer(const Json& components) {
    Json json{
        {"added_tokens", Json::array()},
        {"model", {{"type", "WordLevel"}, {"vocab", {{"<unk>", 0}, {"a", 1}, {"b", 2}}}, {"unk_token", "<unk>"}}}};
    json.merge_patch(components);
    write("tokenizer.json", json);
  }

  std::string error() const {
    try {
      load_tokenizer(folder_);
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  }

  fs::path folder_;
};

TEST_F(LoadTokenizer, AnyOfItsFilesMakesATokenizer) {
  core::write_file(folder_ / "config.json", "{}");
  EXPECT_FALSE(has_tokenizer_files(folder_));
  core::write_file(folder_ / "spiece.model", "");
  EXPECT_TRUE(has_tokenizer_files(folder_));
}

TEST_F(LoadTokenizer, T5FromItsSentencePieceModel) {
  copy("t5");
  const auto tokenizer = load_tokenizer(folder_);
  const auto ids = tokenizer->encode("Hello world<extra_id_0></s>");
  EXPECT_EQ(ids, (std::vector<TokenId>{8774, 296, 32099, 1}));
  EXPECT_EQ(tokenizer->decode(ids), "Hello world");
  EXPECT_EQ(tokenizer->decode(ids, false), "Hello world<extra_id_0></s>");
  EXPECT_EQ(tokenizer->vocabulary_size(), 32000U);
  EXPECT_EQ(tokenizer->ids_after(), std::vector<TokenId>{1});
  EXPECT_THAT(tokenizer->ids_before(), testing::IsEmpty());
}

TEST_F(LoadTokenizer, Gpt2FromVocabularyAndMerges) {
  copy("gpt2");
  const auto tokenizer = load_tokenizer(folder_);
  const auto ids = tokenizer->encode("Hello world é<|endoftext|>");
  EXPECT_EQ(ids, (std::vector<TokenId>{15496, 995, 38251, 50256}));
  EXPECT_EQ(tokenizer->decode(ids), "Hello world é");
  EXPECT_EQ(tokenizer->token(995), "Ġworld");
  EXPECT_EQ(tokenizer->pad_id(), 50256U);
}

TEST_F(LoadTokenizer, TokenizerJsonComesBeforeOtherVocabularies) {
  copy("t5");
  write_tokenizer({{"pre_tokenizer", {{"type", "WhitespaceSplit"}}}});
  EXPECT_EQ(load_tokenizer(folder_)->encode("a b c"), (std::vector<TokenId>{1, 2, 0}));
}

TEST_F(LoadTokenizer, ByT5NeedsNoVocabulary) {
  write("tokenizer_config.json", {{"tokenizer_class", "ByT5Tokenizer"}});
  const auto tokenizer = load_tokenizer(folder_);
  EXPECT_EQ(tokenizer->encode("aé<extra_id_1>"), (std::vector<TokenId>{100, 198, 172, 260}));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("aé")), "aé");
}

TEST_F(LoadTokenizer, AnUnknownComponentIsNamed) {
  for (const char* component : {"normalizer", "pre_tokenizer", "post_processor", "decoder"}) {
    write_tokenizer({{component, {{"type", "Sideways"}}}});
    EXPECT_THAT(error(), testing::AllOf(HasSubstr(component), HasSubstr("'Sideways'"), HasSubstr(folder_.string())));
  }
  write_tokenizer({{"model", {{"type", "Sideways"}}}});
  EXPECT_THAT(error(), HasSubstr("the model 'Sideways'"));
}

TEST_F(LoadTokenizer, DamagedFilesAreNamed) {
  core::write_file(folder_ / "tokenizer.json", "{\"model\": {");
  EXPECT_THAT(error(), HasSubstr("tokenizer.json"));
  fs::remove(folder_ / "tokenizer.json");
  core::write_file(folder_ / "spiece.model", "\xFF\xFF no model");
  EXPECT_THAT(error(), HasSubstr("spiece.model: not a SentencePiece model"));
  fs::remove(folder_ / "spiece.model");
  EXPECT_THAT(error(), HasSubstr("no tokenizer: expected tokenizer.json"));
}

TEST_F(LoadTokenizer, NumbersThatAreNoIdsAreNamed) {
  for (const char* id : {"-1", "1.5", "4294967296", "1e300"}) {
    write_tokenizer({{"added_tokens", {{{"content", "<x>"}, {"id", Json::parse(id)}}}}});
    EXPECT_THAT(error(), HasSubstr("expected a whole number from 0 to 4294967295")) << id;
  }
  write_tokenizer(Json::object());
  for (const char* id : {"", "-1", "x", "99999999999999999999"}) {
    write("tokenizer_config.json", {{"added_tokens_decoder", {{id, {{"content", "<x>"}}}}}});
    EXPECT_THAT(error(), HasSubstr("expected ids as keys")) << id;
  }
  fs::remove(folder_ / "tokenizer.json");
  write("tokenizer_config.json", {{"tokenizer_class", "ByT5Tokenizer"}, {"extra_ids", 2'000'000'000}});
  EXPECT_THAT(error(), HasSubstr("extra_ids"));
}

TEST_F(LoadTokenizer, KeysThatChangeIdsAreRefusedByName) {
  write_tokenizer(Json::object());
  for (const auto& [key, value, found] :
       {std::tuple("fast_tokenizer_files", Json{"tokenizer.json", "tokenizer.4.0.0.json"}, "\"tokenizer.4.0.0.json\""),
        std::tuple("split_special_tokens", Json("yes"), "\"yes\""), std::tuple("gguf_file", Json("m.gguf"), "m.gguf"),
        std::tuple("post_processor", Json{{"type", "ByteLevel"}}, "ByteLevel")}) {
    write("tokenizer_config.json", {{key, value}});
    EXPECT_THAT(error(), testing::AllOf(HasSubstr("tokenizer_config.json"), HasSubstr(key), HasSubstr("expected"),
                                        HasSubstr(found)));
  }
  write("tokenizer_config.json", {{"tokenizer_class", "ByT5Tokenizer"}, {"split_special_tokens", true}});
  fs::remove(folder_ / "tokenizer.json");
  EXPECT_THAT(error(), HasSubstr("split_special_tokens: expected false for ByT5Tokenizer, found true"));
}

TEST_F(LoadTokenizer, AnAddedTokenHasTheIdThatTransformersGivesIt) {
  write_tokenizer({{"added_tokens", {{{"content", "<x>"}, {"id", 7}}}}});
  EXPECT_THAT(error(), HasSubstr("tokenizer.json: added_tokens: \"<x>\": expected the id 3"));
  write_tokenizer({{"added_tokens", {{{"content", "<x>"}, {"id", 3}}, {{"content", "b"}, {"id", 2}}}}});
  EXPECT_EQ(load_tokenizer(folder_)->encode("<x>b"), (std::vector<TokenId>{3, 2}));
  write("added_tokens.json", {{"<y>", 5}});
  EXPECT_THAT(error(), HasSubstr("added_tokens.json: \"<y>\": expected the id 4"));
  write("added_tokens.json", {{"<z>", 5}, {"<y>", 4}});
  EXPECT_EQ(load_tokenizer(folder_)->encode("<z><y>"), (std::vector<TokenId>{5, 4}));
}

TEST_F(LoadTokenizer, ATemplateWithoutTheTextIsRefused) {
  const Json text{{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  for (const Json& single : {Json::array(), Json::array({text, text})}) {
    write_tokenizer(
        {{"post_processor", {{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", Json::object()}}}});
    EXPECT_THAT(error(), HasSubstr("post_processor.single: expected the text exactly once, found"));
  }
}

TEST_F(LoadTokenizer, NumbersAreReadExactly) {
  const auto first_id = [&](const char* score) {  // of "ab": one piece, or two that sum to -2
    core::write_file(folder_ / "tokenizer.json", fmt::format(R"({{"model": {{"type": "Unigram", "unk_id": 0,
                              "vocab": [["<unk>", 0e130], ["ab", {}], ["a", -1], ["b", -1.0]]}}}})",
                                                             score));
    return load_tokenizer(folder_)->encode("ab").front();
  };
  EXPECT_EQ(first_id("-1.9999999999999998"), 1U);
  EXPECT_EQ(first_id("-2.0000000000000004"), 2U);
  EXPECT_EQ(first_id("0e130"), 1U);
  core::write_file(folder_ / "tokenizer.json", R"({"model": 1e999})");
  EXPECT_THAT(error(), HasSubstr("Number too big to be stored in double"));
}

TEST_F(LoadTokenizer, NestingThatWouldExhaustTheStackIsRefused) {
  core::write_file(folder_ / "tokenizer.json", R"({"normalizer": )" + std::string(100'000, '['));
  EXPECT_THAT(error(), HasSubstr("tokenizer.json: not JSON of the expected form: expected JSON of at most 200 levels"));
}

TEST_F(LoadTokenizer, ATokenMayBeLongerThanTheStackIsDeep) {
  const std::string token(1'000'000, 'x');
  write_tokenizer({{"added_tokens", {{{"content", token}, {"id", 3}}}}});
  EXPECT_EQ(load_tokenizer(folder_)->encode(token), std::vector<TokenId>{3});
}

// Returns the message of the InputError that encode() throws.
std::string encode_error(const fs::path& folder, const std::string& text) {
  try {
    load_tokenizer(folder)->encode(text);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST_F(LoadTokenizer, ComponentsThatMakeATextGrowWithoutBoundAreRefused) {
  const Json doubling{{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aaaaaaaaaa"}};
  write_tokenizer({{"normalizer", {{"type", "Sequence"}, {"normalizers", Json(20, doubling)}}}});
  EXPECT_THAT(encode_error(folder_, "a"), HasSubstr("expand a text beyond 65536 bytes"));
  const Json bytes{{"type", "ByteLevel"}, {"use_regex", false}};
  write_tokenizer(
      {{"normalizer", nullptr}, {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", Json(60, bytes)}}}});
  EXPECT_THAT(encode_error(folder_, "\u00e9"), HasSubstr("expand a text beyond 65536 bytes"));
  write_tokenizer({{"pre_tokenizer", nullptr}, {"decoder", {{"type", "Sequence"}, {"decoders", Json(20, doubling)}}}});
  EXPECT_THROW(load_tokenizer(folder_)->decode(std::vector<TokenId>{1}), InputError);
}

TEST_F(LoadTokenizer, APatternThatTakesForeverIsNamed) {
  write_tokenizer(
      {{"pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "(a|aa)+$"}}}, {"behavior", "Isolated"}}}});
  EXPECT_THAT(encode_error(folder_, std::string(100, 'a') + "b"),
              HasSubstr("the regular expression '(a|aa)+$' takes too long for a text of 101 bytes"));
}

TEST_F(LoadTokenizer, MetaspaceTakesOneCharacter) {
  for (const char* replacement : {"", "__"}) {
    write_tokenizer({{"pre_tokenizer", {{"type", "Metaspace"}, {"replacement", replacement}}}});
    EXPECT_THAT(error(), HasSubstr("replacement: expected one character")) << replacement;
  }
}

TEST_F(LoadTokenizer, TheByteThatIsNotUtf8IsNamed) {
  write_tokenizer(Json::object());
  const auto tokenizer = load_tokenizer(folder_);
  EXPECT_THROW(
      {
        try {
          tokenizer->encode("ab\xFF");
        } catch (const InputError& error) {
          EXPECT_THAT(error.what(), HasSubstr("0xff at offset 2"));
          throw;
        }
      },
      InputError);
}

TEST_F(LoadTokenizer, SavesItsFilesByteForByte) {
  copy("gpt2");
  write("tokenizer_config.json", {{"pad_token", "<|endoftext|>"}, {"chat_template", "{{ 'x' }}"}});
  core::write_file(folder_ / "chat_template.jinja", "{% if x %}\n");
  const fs::path saved = folder_ / "saved";
  fs::create_directory(saved);
  const auto tokenizer = load_tokenizer(folder_);
  tokenizer->save(saved);
  for (const char* name : {"vocab.json", "merges.txt", "tokenizer_config.json", "chat_template.jinja"}) {
    EXPECT_EQ(core::read_file(saved / name), core::read_file(folder_ / name)) << name;
  }
  EXPECT_EQ(load_tokenizer(saved)->digest(), tokenizer->digest());
}

}  // namespace
}  // namespace lockstep::text
