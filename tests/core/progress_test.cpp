#include "lockstep/core/progress.h"

#include <gtest/gtest.h>

namespace lockstep::core {
namespace {

TEST(Progress, FormatsDurations) {
  EXPECT_EQ(format_duration(0), "00:00");
  EXPECT_EQ(format_duration(59.6), "01:00");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(-5), "00:00");
}

TEST(Progress, OnABatchJobShortWorkPrintsNothing) {
  testing::internal::CaptureStderr();
  {
    Progress progress("train", "step", 10);
    for (std::uint64_t step = 0; step <= 10; ++step) progress.update(step, "loss 1");
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace lockstep::core
