#include "text/models/bpe_model.h"

#include <gmock/gmock.h>
#include <random>

#include "lockstep/core/error.h"

namespace lockstep::text {
namespace {

using testing::ElementsAre;

BpeModel make_model(const std::vector<std::string>& tokens, const BpeModel::Merges& merges,
                    BpeModel::Options options = {}) {
  Vocabulary vocabulary;
  for (TokenId id = 0; id < tokens.size(); ++id) vocabulary.add(tokens[id], id);
  return {std::move(vocabulary), merges, std::move(options)};
}

std::vector<std::string> tokens_of(const BpeModel& model, std::string_view word) {
  std::vector<TokenId> ids;
  model.encode(word, ids);
  std::vector<std::string> tokens;
  for (const TokenId id : ids) tokens.emplace_back(*model.token(id));
  return tokens;
}

TEST(BpeModel, MergesByRankAndThenFromTheLeft) {
  const auto model = make_model({"a", "b", "c", "bc", "ab", "aa"}, {{"b", "c"}, {"a", "b"}, {"a", "a"}});
  EXPECT_THAT(tokens_of(model, "abc"), ElementsAre("a", "bc"));
  EXPECT_THAT(tokens_of(model, "aaa"), ElementsAre("aa", "a"));
}

TEST(BpeModel, LongWordsAreMergedAsTheirShortPartsAre) {
  const auto model = make_model({"a", "b", "x", "ab", "abab", "ba"}, {{"a", "b"}, {"ab", "ab"}, {"b", "a"}});
  std::mt19937 random(7);
  std::string word;
  std::vector<std::string> expected;
  for (int part = 0; part < 40; ++part) {  // no merge involves x
    std::string piece;
    for (int i = 0; i < 10; ++i) piece += random() % 2 == 0 ? 'a' : 'b';
    piece += 'x';
    for (auto& token : tokens_of(model, piece)) expected.push_back(token);
    word += piece;
  }
  EXPECT_EQ(tokens_of(model, word), expected);
}

TEST(BpeModel, SpellsWhatTheVocabularyLacks) {
  const std::vector<std::string> tokens{"<unk>", "a", "<0xC3>", "<0xA9>"};
  EXPECT_THAT(tokens_of(make_model(tokens, {}), "aéz"), ElementsAre("a"));
  EXPECT_THAT(tokens_of(make_model(tokens, {}, {.unk_token = "<unk>"}), "aéz"), ElementsAre("a", "<unk>", "<unk>"));
  EXPECT_THAT(tokens_of(make_model(tokens, {}, {.unk_token = "<unk>", .fuse_unk = true}), "aéz"),
              ElementsAre("a", "<unk>"));
  EXPECT_THAT(tokens_of(make_model(tokens, {}, {.unk_token = "<unk>", .byte_fallback = true}), "aéz"),
              ElementsAre("a", "<0xC3>", "<0xA9>", "<unk>"));
}

TEST(BpeModel, AffixesMarkTheInsideAndTheEndOfAWord) {
  const auto model = make_model({"a", "##b", "##c</w>", "ab", "abc</w>"}, {{"a", "##b"}, {"ab", "##c</w>"}},
                                {.continuing_subword_prefix = "##", .end_of_word_suffix = "</w>"});
  EXPECT_THAT(tokens_of(model, "abc"), ElementsAre("abc</w>"));
}

TEST(BpeModel, IsSeparableAtBlanksOnlyIfNoMergeCrossesOne) {
  const std::vector<std::string> tokens{"<unk>", "▁", "a", "▁a", "▁▁", "a▁"};
  const BpeModel::Options options{.unk_token = "<unk>"};
  EXPECT_TRUE(make_model(tokens, {{"▁", "▁"}, {"▁", "a"}}, options).separable_at_blanks());
  EXPECT_FALSE(make_model(tokens, {{"a", "▁"}}, options).separable_at_blanks());
}

TEST(BpeModel, IsNotSeparableAtBlanksWhereMissingCharactersLeaveNothing) {
  const auto model = make_model({"▁", "▁▁"}, {{"▁", "▁"}});
  EXPECT_FALSE(model.separable_at_blanks());
  EXPECT_THAT(tokens_of(model, "▁é▁"), ElementsAre("▁▁"));
}

TEST(BpeModel, NamesTheMergeThatTheVocabularyCannotMake) {
  try {
    make_model({"a", "b"}, {{"a", "b"}});
    FAIL() << "expected InputError";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("'ab'"), testing::HasSubstr("merge 1 ('a b')")));
  }
}

}  // namespace
}  // namespace lockstep::text
