#include "unigram_model.h"

#include <gmock/gmock.h>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

using testing::ElementsAre;

std::vector<TokenId> ids_of(const UnigramModel& model, std::string_view word) {
  std::vector<TokenId> ids;
  model.encode(word, ids);
  return ids;
}

// The example of tokenizers' documentation.
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

}  // namespace
}  // namespace lockstep
