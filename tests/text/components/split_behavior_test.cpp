#include "text/components/split_behavior.h"

#include <gmock/gmock.h>

#include "lockstep/core/error.h"

namespace lockstep::text {
namespace {

using testing::ElementsAre;

// Splits "the-final--countdown" at "-", as in the documentation of Hugging Face tokenizers.
std::vector<std::string> split(SplitBehavior behavior) {
  const std::string text = "the-final--countdown";
  const std::vector<Segment> segments{{0, 3, false}, {3, 4, true},   {4, 9, false},
                                      {9, 10, true}, {10, 11, true}, {11, 20, false}};
  std::vector<TextRange> pieces;
  merge_segments(behavior, segments, pieces);
  std::vector<std::string> texts;
  for (const TextRange& piece : pieces) texts.push_back(text.substr(piece.begin, piece.end - piece.begin));
  return texts;
}

TEST(SplitBehavior, DealsWithDelimitersAsTokenizersDoes) {
  EXPECT_THAT(split(SplitBehavior::kRemoved), ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(split(SplitBehavior::kIsolated), ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(split(SplitBehavior::kMergedWithPrevious), ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(split(SplitBehavior::kMergedWithNext), ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(split(SplitBehavior::kContiguous), ElementsAre("the", "-", "final", "--", "countdown"));
}

TEST(SplitBehavior, AnUnknownNameIsRefused) { EXPECT_THROW(parse_split_behavior("Sideways"), InputError); }

}  // namespace
}  // namespace lockstep::text
