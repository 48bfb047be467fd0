#include "lockstep/train/token_limit.h"

#include <gtest/gtest.h>

#include "models/bigram_model.h"

namespace lockstep {
namespace {

constexpr double kOfAToken = 6000;

TEST(TokenLimit, IsHalfOfTheMemoryThatIsLeft) {
  EXPECT_EQ(token_limit(kOfAToken, 16e6, 16e6 + 2 * 6000 * 1000, 4096), 1000U);
  EXPECT_EQ(token_limit(kOfAToken, 16e6, 16e6 + 2 * 6000 * 2000, 4096), 2000U);
}

TEST(TokenLimit, EndsWhereMoreIsNoFasterAndWhereLessIsSlow) {
  EXPECT_EQ(token_limit(kOfAToken, 16e6, 1e12, 4096), 4096U);
  EXPECT_EQ(token_limit(kOfAToken, 16e6, 0, 4096), 4096U);  // unknown
  EXPECT_EQ(token_limit(0, 0, 1e12, 4096), 4096U);          // of a model without projections
  EXPECT_EQ(token_limit(kOfAToken, 16e6, 8e6, 4096), 256U);
}

TEST(TokenLimit, IsThatOfTheJob) {
  const test::BigramModel model(11);
  const auto communicator = make_communicator();
  EXPECT_EQ(
      agree_on_token_limit(model, Hyperparameters::from_choices({{"max_tokens_per_micro_batch", 7}}), *communicator),
      7U);
  EXPECT_EQ(agree_on_token_limit(model, {}, *communicator), kEnoughTokensOnHost);
}

}  // namespace
}  // namespace lockstep
