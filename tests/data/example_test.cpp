#include "lockstep/data/example.h"

#include <gmock/gmock.h>
#include <random>

#include "data/fixtures.h"

namespace lockstep::data {
namespace {

using testing::HasSubstr;

constexpr TokenId kBos = test::ByteTokenizer::kBos;
constexpr TokenId kEos = test::ByteTokenizer::kEos;

std::vector<TokenId> with_eos(const std::string& text) {
  auto ids = test::bytes(text);
  ids.push_back(kEos);
  return ids;
}

ExampleBuilder::Result build(bool has_encoder, std::optional<std::size_t> limit, const Row& row,
                             bool adds_bos = false) {
  return ExampleBuilder(std::make_shared<test::ByteTokenizer>(adds_bos), has_encoder, limit).build(row);
}

TEST(ExampleBuilder, EncoderDecoderEndsBothInEos) {
  const auto result = build(true, std::nullopt, {"in", "out"});
  EXPECT_EQ(result.example.input, with_eos("in"));
  EXPECT_EQ(result.example.target, with_eos("out"));
  EXPECT_FALSE(result.input_truncated || result.target_truncated || result.empty_output);
}

// A byte tokenizer that reads "<" as BOS and ">" as EOS.
class TagTokenizer final : public Tokenizer {
 public:
  explicit TagTokenizer(bool adds_bos) {
    settings_.bos = kBos;
    settings_.eos = kEos;
    if (adds_bos) settings_.ids_before = {kBos};
  }
  using Tokenizer::encode;
  void encode(std::string_view text, std::vector<TokenId>& ids) const override {
    for (const char c : text) ids.push_back(c == '<' ? kBos : c == '>' ? kEos : static_cast<unsigned char>(c) + 3U);
  }
  std::string decode(std::span<const TokenId>, bool) const override { return ""; }
  std::string token(TokenId) const override { return ""; }
  std::size_t vocabulary_size() const override { return 259; }
};

TEST(ExampleBuilder, ReportsBosAndEosThatTheTextSpells) {
  const auto flags = [](bool has_encoder, bool adds_bos, const Row& row, std::optional<std::size_t> limit = {}) {
    const auto result = ExampleBuilder(std::make_shared<TagTokenizer>(adds_bos), has_encoder, limit).build(row);
    return std::pair(result.doubled_bos, result.doubled_eos);
  };
  EXPECT_EQ(flags(false, true, {"<a", "b>"}), std::pair(true, true));
  EXPECT_EQ(flags(false, true, {"a<", ">b"}), std::pair(false, false));
  EXPECT_EQ(flags(false, false, {"<a", "b"}), std::pair(false, false));
  EXPECT_EQ(flags(false, true, {"a>", ""}), std::pair(false, false));
  EXPECT_EQ(flags(true, false, {"a>", "b"}), std::pair(false, true));
  EXPECT_EQ(flags(true, false, {"a", "b>"}), std::pair(false, true));
  EXPECT_EQ(flags(true, false, {"<a", "b"}), std::pair(false, false));
  EXPECT_EQ(flags(true, false, {"abc>", "b"}, 3), std::pair(false, false));
}

TEST(ExampleBuilder, EncoderDecoderKeepsTheFirstTokensAndEos) {
  const auto exact = build(true, 4, {"abc", "xyz"});
  EXPECT_FALSE(exact.input_truncated || exact.target_truncated);
  const auto cut = build(true, 4, {"abcd", "wxyz"});
  EXPECT_TRUE(cut.input_truncated && cut.target_truncated);
  EXPECT_EQ(cut.example.input, with_eos("abc"));
  EXPECT_EQ(cut.example.target, with_eos("wxy"));
}

TEST(ExampleBuilder, DecoderOnlyCutsTheInputFromItsLeft) {
  const auto exact = build(false, 6, {"abc", "xy"});
  EXPECT_FALSE(exact.input_truncated || exact.target_truncated);
  const auto cut = build(false, 5, {"abc", "xy"});
  EXPECT_TRUE(cut.input_truncated);
  EXPECT_FALSE(cut.target_truncated);
  EXPECT_EQ(cut.example.input, test::bytes("bc"));
  EXPECT_EQ(cut.example.target, with_eos("xy"));
}

TEST(ExampleBuilder, DecoderOnlyKeepsBosWhenItCuts) {
  auto expected = test::bytes("c");
  expected.insert(expected.begin(), kBos);
  const auto cut = build(false, 5, {"abc", "xy"}, true);
  EXPECT_EQ(cut.example.input, expected);
  const auto long_answer = build(false, 4, {"abc", "wxyz"}, true);
  EXPECT_EQ(long_answer.example.input, std::vector<TokenId>{kBos});
  EXPECT_EQ(long_answer.example.target, test::bytes("wxy"));
}

TEST(ExampleBuilder, DecoderOnlyAnswerThatIsTooLongLosesItsEndAndEos) {
  const auto cut = build(false, 4, {"abc", "wxyz"});
  EXPECT_TRUE(cut.input_truncated && cut.target_truncated);
  EXPECT_TRUE(cut.example.input.empty());
  EXPECT_EQ(cut.example.target, test::bytes("wxyz"));
  EXPECT_EQ(build(false, 4, {"", "vwxyz"}).example.target, test::bytes("vwxy"));
}

TEST(ExampleBuilder, EmptyOutputLeavesEos) {
  for (const bool has_encoder : {true, false}) {
    const auto result = build(has_encoder, 8, {"in", ""});
    EXPECT_TRUE(result.empty_output);
    EXPECT_EQ(result.example.target, std::vector<TokenId>{kEos});
  }
}

TEST(ExampleBuilder, LengthsNeverExceedTheLimit) {
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    const std::size_t limit = 2 + random() % 12;
    const Row row{std::string(random() % 16, 'i'), std::string(random() % 16, 'o')};
    const bool adds_bos = random() % 2 == 0;
    const auto t5 = build(true, limit, row).example;
    EXPECT_EQ(t5.input.size(), std::min(limit, row.model_input.size() + 1));
    EXPECT_EQ(t5.target.size(), std::min(limit, row.model_output.size() + 1));
    const auto gpt = build(false, limit, row, adds_bos).example;
    const std::size_t whole = row.model_input.size() + row.model_output.size() + 1 + (adds_bos ? 1 : 0);
    EXPECT_EQ(gpt.input.size() + gpt.target.size(), std::min(limit, whole));
    if (adds_bos) {
      EXPECT_EQ(gpt.input.front(), kBos);
    }
  }
}

// Builds a row of a tokenizer that puts the ids 4 and 1 before a text, and 5 and EOS after it.
ExampleBuilder::Result build_framed(bool has_encoder, std::optional<std::size_t> limit, const Row& row) {
  auto tokenizer = std::make_shared<test::ByteTokenizer>();
  tokenizer->set_frame({4, kBos}, {5, kEos});
  return ExampleBuilder(tokenizer, has_encoder, limit).build(row);
}

std::vector<TokenId> framed(std::vector<TokenId> before, const std::string& text, std::vector<TokenId> after) {
  for (const TokenId id : test::bytes(text)) before.push_back(id);
  before.insert(before.end(), after.begin(), after.end());
  return before;
}

TEST(ExampleBuilder, EncoderDecoderFramesBothTextsAsTheTokenizerDoes) {
  const auto whole = build_framed(true, std::nullopt, {"in", "out"}).example;
  EXPECT_EQ(whole.input, framed({4, kBos}, "in", {5, kEos}));
  EXPECT_EQ(whole.target, framed({4, kBos}, "out", {5, kEos}));
  const auto exact = build_framed(true, 7, {"abc", "xyz"});
  EXPECT_FALSE(exact.input_truncated || exact.target_truncated);
  const auto cut = build_framed(true, 6, {"abc", "xyz"});
  EXPECT_TRUE(cut.input_truncated && cut.target_truncated);
  EXPECT_EQ(cut.example.input, framed({4, kBos}, "ab", {5, kEos}));
  EXPECT_EQ(cut.example.target, framed({4, kBos}, "xy", {5, kEos}));
}

TEST(ExampleBuilder, DecoderOnlyFramesTheSequenceOfInputAndTarget) {
  const auto whole = build_framed(false, std::nullopt, {"in", "out"}).example;
  EXPECT_EQ(whole.input, framed({4, kBos}, "in", {}));
  EXPECT_EQ(whole.target, framed({}, "out", {5, kEos}));
  const auto cut = build_framed(false, 7, {"abc", "xy"});
  EXPECT_TRUE(cut.input_truncated);
  EXPECT_EQ(cut.example.input, framed({4, kBos}, "c", {}));
  EXPECT_EQ(cut.example.target, framed({}, "xy", {5, kEos}));
}

TEST(ExampleBuilder, EosIsAddedOnceAndNeverBeforeATarget) {
  auto tokenizer = std::make_shared<test::ByteTokenizer>();
  tokenizer->set_frame({kEos}, {kEos, 5, kEos});  // as GPT-2's, whose BOS is its EOS
  const auto gpt = ExampleBuilder(tokenizer, false, std::nullopt).build({"in", "out"}).example;
  EXPECT_EQ(gpt.input, framed({kEos}, "in", {}));
  EXPECT_EQ(gpt.target, framed({}, "out", {kEos, 5}));
  tokenizer->set_frame({kEos, kBos}, {5});
  const auto t5 = ExampleBuilder(tokenizer, true, std::nullopt).build({"in", "out"}).example;
  EXPECT_EQ(t5.input, framed({kEos, kBos}, "in", {5, kEos}));
  EXPECT_EQ(t5.target, framed({kBos}, "out", {5, kEos}));
}

TEST(ExampleBuilder, PromptsOfGenerationAreTheInputsOfTraining) {
  auto tokenizer = std::make_shared<test::ByteTokenizer>();
  tokenizer->set_frame({4, kBos}, {5, kEos});
  for (const bool has_encoder : {true, false}) {
    EXPECT_EQ(text::encode_input(*tokenizer, has_encoder, "in"),
              ExampleBuilder(tokenizer, has_encoder, std::nullopt).build({"in", "out"}).example.input);
  }
}

TEST(ExampleBuilder, ALimitLeavesRoomForATokenOfTheText) {
  EXPECT_THAT(test::input_error([&] {
                build_framed(true, 4, {"in", "out"});
              }),
              HasSubstr("model_max_length: expected at least 5, found 4"));
  EXPECT_EQ(build_framed(true, 5, {"in", "out"}).example.target, framed({4, kBos}, "o", {5, kEos}));
  EXPECT_THAT(test::input_error([&] {
                build_framed(false, 2, {"in", "out"});
              }),
              HasSubstr("model_max_length: expected at least 3, found 2"));
  EXPECT_EQ(build_framed(false, 3, {"in", "out"}).example.target, test::bytes("o"));
}

TEST(ExampleBuilder, RefusesTokenizersWithoutEosAndTinyLimits) {
  auto tokenizer = std::make_shared<test::ByteTokenizer>();
  EXPECT_THAT(test::input_error([&] { ExampleBuilder(tokenizer, true, 1); }), HasSubstr("model_max_length"));
  tokenizer->remove_eos();
  EXPECT_THAT(test::input_error([&] { ExampleBuilder(tokenizer, true, 10); }), HasSubstr("EOS"));
}

}  // namespace
}  // namespace lockstep::data
