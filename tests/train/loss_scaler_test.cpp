#include "lockstep/train/loss_scaler.h"

#include <gtest/gtest.h>

namespace lockstep::train {
namespace {

TEST(LossScaler, FollowsOverflows) {
  LossScaler scaler(true);
  EXPECT_EQ(scaler.scale(), 65536);
  EXPECT_TRUE(scaler.shrink());
  EXPECT_EQ(scaler.scale(), 32768);
  for (std::uint64_t step = 1; step < LossScaler::kGrowthInterval; ++step) scaler.grow();
  EXPECT_EQ(scaler.scale(), 32768);
  scaler.grow();
  EXPECT_EQ(scaler.scale(), 65536);
  // An overflow resets the count of steps.
  for (std::uint64_t step = 1; step < LossScaler::kGrowthInterval; ++step) scaler.grow();
  EXPECT_TRUE(scaler.shrink());
  scaler.grow();
  EXPECT_EQ(scaler.scale(), 32768);
}

TEST(LossScaler, DoesNotGoBelowOne) {
  LossScaler scaler(true);
  for (int halvings = 0; halvings < 16; ++halvings) EXPECT_TRUE(scaler.shrink());
  EXPECT_EQ(scaler.scale(), 1);
  EXPECT_FALSE(scaler.shrink());
}

TEST(LossScaler, IsOneWhereItIsOff) {
  LossScaler scaler(false);
  for (std::uint64_t step = 0; step < 2 * LossScaler::kGrowthInterval; ++step) scaler.grow();
  EXPECT_EQ(scaler.scale(), 1);
  EXPECT_FALSE(scaler.shrink());
}

TEST(LossScaler, GoesOnFromItsState) {
  LossScaler before(true), after(true);
  before.shrink();
  for (std::uint64_t step = 1; step < LossScaler::kGrowthInterval; ++step) before.grow();
  after.restore(before.state());
  after.grow();
  EXPECT_EQ(after.scale(), 65536);
}

}  // namespace
}  // namespace lockstep::train
