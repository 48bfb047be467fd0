#include "text/models/unigram_model.h"

#include <gmock/gmock.h>
#include <array>
#include <random>

#include "lockstep/core/error.h"

namespace lockstep::text {
namespace {

using testing::ElementsAre;

std::vector<TokenId> ids_of(const UnigramModel& model, std::string_view word) {
  std::vector<TokenId> ids;
  model.encode(word, ids);
  return ids;
}

// The example from the documentation of Hugging Face tokenizers.
const UnigramModel::Pieces kPieces{{"<unk>", 0}, {"a", 0},  {"b", 0},   {"c", 0},    {"d", 0},
                                   {"cd", 1},    {"ab", 2}, {"abc", 5}, {"abcd", 10}};

TEST(UnigramModel, ChoosesTheBestSegmentationAndFusesUnknownCharacters) {
  EXPECT_THAT(ids_of({kPieces, 0, false}, "abcdacdxx"), ElementsAre(8, 1, 5, 0));
}

TEST(UnigramModel, FallsBackToBytesOnlyIfItHasThemAll) {
  auto pieces = kPieces;
  pieces.emplace_back("<0x78>", 0);  // x
  EXPECT_THAT(ids_of({pieces, 0, true}, "axx"), ElementsAre(1, 9, 9));
  EXPECT_THAT(ids_of({pieces, 0, true}, "axy"), ElementsAre(1, 0));
}

TEST(UnigramModel, RefusesUnknownCharactersWithoutAnUnknownToken) {
  EXPECT_THROW(ids_of({kPieces, std::nullopt, false}, "x"), InputError);
  EXPECT_THROW(UnigramModel(kPieces, 99, false), InputError);
}

// A piece that spans two words makes the model process whole texts; no text here contains that piece.
TEST(UnigramModel, WordByWordIsTheWholeTextInSinglePrecision) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto draw = [&](unsigned below) { return random() % below; };
  int texts_with_ties = 0;
  for (int round = 0; round < 30; ++round) {
    // Scores lie on a coarse grid, so that many segmentations are equally likely, or almost.
    const float step = std::array{0.5F, 0.1F, 1e-3F}.at(draw(3));
    UnigramModel::Pieces pieces{{"<unk>", 0}, {"▁", -static_cast<float>(draw(30)) * step}};
    for (int i = 0; i < 60; ++i) {
      std::string text = draw(3) == 0 ? "▁" : "";
      for (unsigned length = 1 + draw(4); length > 0; --length) text += static_cast<char>('a' + draw(3));
      pieces.emplace_back(text, -(2 + static_cast<float>(draw(40)) * step));
    }
    const UnigramModel by_word(pieces, 0, false, UnigramModel::Precision::kSingle);
    pieces.emplace_back("z▁z", -2);
    const UnigramModel whole(pieces, 0, false, UnigramModel::Precision::kSingle);
    std::string text;
    for (int word = 0; word < 3000; ++word) {
      text += "▁";
      for (unsigned length = draw(12); length > 0; --length)
        text += draw(50) == 0 ? 'x' : static_cast<char>('a' + draw(3));
    }
    ASSERT_EQ(ids_of(by_word, text), ids_of(whole, text));
    const std::string half = text.substr(text.find("▁", text.size() / 2));
    ASSERT_EQ(ids_of(by_word, half), ids_of(whole, half));
    const UnigramModel exact(pieces, 0, false, UnigramModel::Precision::kDouble);
    texts_with_ties += ids_of(exact, text) != ids_of(whole, text) ? 1 : 0;
  }
  EXPECT_GT(texts_with_ties, 0) << "no text's ids depended on the precision of sums";
}

}  // namespace
}  // namespace lockstep::text
