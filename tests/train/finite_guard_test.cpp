#include "lockstep/train/finite_guard.h"

#include <gmock/gmock.h>
#include <cmath>
#include <limits>

#include "lockstep/core/error.h"

namespace lockstep::train {
namespace {

std::shared_ptr<const TokenizedDataset> one_row() {
  return std::make_shared<data::InMemoryTokenizedDataset>(std::vector<data::Example>{{{1}, {2}}}, false, "digest");
}

TEST(FiniteGuard, ARunMustHaveAFiniteStep) {
  FiniteGuard guard(9, 2, one_row(), make_communicator());
  EXPECT_TRUE(guard.skips(1, std::nan(""), 1));
  EXPECT_THAT([&] { guard.skips(2, std::nan(""), 1); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("no step so far was finite")));
}

TEST(FiniteGuard, OnlySkippedStepsInARowCount) {
  FiniteGuard guard(1, 20, one_row(), make_communicator());
  const double infinity = std::numeric_limits<double>::infinity();
  for (std::uint64_t step = 1; step < 9; step += 2) {
    EXPECT_TRUE(guard.skips(step, 1, infinity));
    EXPECT_FALSE(guard.skips(step + 1, 1, 1));
  }
  EXPECT_TRUE(guard.skips(9, infinity, 1));
  EXPECT_EQ(guard.skipped_steps(), 5U);
  EXPECT_THROW(guard.skips(10, std::nan(""), 1), Error);
}

TEST(FiniteGuard, StepsForASmallerLossScaleCountButNotInARow) {
  FiniteGuard guard(1, 9, one_row(), make_communicator());
  for (std::uint64_t step = 1; step < 6; ++step) guard.skip_for_loss_scale(step, 2);
  EXPECT_EQ(guard.skipped_steps(), 5U);
  EXPECT_EQ(guard.skipped_in_a_row(), 0U);
  EXPECT_FALSE(guard.skips(6, 1, 1));
  guard.skip_for_loss_scale(9, 2);
  FiniteGuard in_vain(1, 2, one_row(), make_communicator());
  in_vain.skip_for_loss_scale(1, 2);
  EXPECT_THAT([&] { in_vain.skip_for_loss_scale(2, 1); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("gradients overflowed fp16 in every step")));
}

}  // namespace
}  // namespace lockstep::train
