#include "lockstep/train/schedule.h"

#include <gtest/gtest.h>

namespace lockstep::train {
namespace {

using job::LrScheduler;

TEST(LearningRateSchedule, LinearRisesThenFallsToZero) {
  const LearningRateSchedule schedule(LrScheduler::kLinear, 1.0, 10, 110);
  EXPECT_DOUBLE_EQ(schedule.at(0), 0);
  EXPECT_DOUBLE_EQ(schedule.at(5), 0.5);
  EXPECT_DOUBLE_EQ(schedule.at(10), 1);
  EXPECT_DOUBLE_EQ(schedule.at(60), 0.5);
  EXPECT_DOUBLE_EQ(schedule.at(110), 0);
}

TEST(LearningRateSchedule, CosineIsHalfWayInTheMiddle) {
  const LearningRateSchedule schedule(LrScheduler::kCosine, 2.0, 0, 100);
  EXPECT_DOUBLE_EQ(schedule.at(0), 2);
  EXPECT_NEAR(schedule.at(50), 1, 1e-12);
  EXPECT_NEAR(schedule.at(25), 1.7071067811865475, 1e-12);
}

TEST(LearningRateSchedule, ConstantIgnoresWarmupAndConstantWithWarmupHasIt) {
  EXPECT_DOUBLE_EQ(LearningRateSchedule(LrScheduler::kConstant, 1.0, 10, 20).at(0), 1);
  EXPECT_DOUBLE_EQ(LearningRateSchedule(LrScheduler::kConstantWithWarmup, 1.0, 10, 20).at(5), 0.5);
  EXPECT_DOUBLE_EQ(LearningRateSchedule(LrScheduler::kConstantWithWarmup, 1.0, 10, 20).at(19), 1);
}

TEST(LearningRateSchedule, WarmupLongerThanTheRunStaysFinite) {
  const LearningRateSchedule schedule(LrScheduler::kLinear, 1.0, 50, 20);
  EXPECT_DOUBLE_EQ(schedule.at(19), 0.38);
  EXPECT_DOUBLE_EQ(schedule.at(50), 1);
}

}  // namespace
}  // namespace lockstep::train
