#include "lockstep/train/metric_sink.h"

#include <gmock/gmock.h>
#include <unistd.h>
#include <sstream>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/json.h"

namespace lockstep {
namespace {

TEST(JsonLinesSink, WritesALineAStepAndAnEvaluation) {
  const auto path = std::filesystem::temp_directory_path() / ("metric_sink_test_" + std::to_string(::getpid()));
  JsonLinesSink sink(path, 2);
  for (std::uint64_t step = 1; step <= 4; ++step) {
    sink.on_step({.step = step,
                  .epoch = 0.5,
                  .loss = 1.25,
                  .grad_norm = 2,
                  .learning_rate = 0.1,
                  .tokens = 100,
                  .target_tokens = 40,
                  .padding = 0.25,
                  .seconds = 0.5});
  }
  sink.on_evaluation({.step = 4, .epoch = 1, .eval_loss = 0.75, .target_tokens = 10, .seconds = 0.1});
  std::istringstream lines(read_file(path));
  std::vector<Json> read;
  for (std::string line; std::getline(lines, line);) read.push_back(Json::parse(line));
  ASSERT_EQ(read.size(), 3U);
  EXPECT_EQ(read[0]["event"], "step");
  EXPECT_EQ(read[0]["step"], 2);
  EXPECT_EQ(read[1]["step"], 4);
  EXPECT_EQ(read[0]["loss"], 1.25);
  EXPECT_EQ(read[0]["tokens_per_second"], 200);
  EXPECT_EQ(read[2]["event"], "evaluation");
  EXPECT_EQ(read[2]["eval_loss"], 0.75);
  std::filesystem::remove(path);
}

TEST(JsonLinesSink, AFullDiskStopsTheRunWithItsName) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full on this system";
  JsonLinesSink sink("/dev/full", 1);
  EXPECT_THAT([&] { sink.on_evaluation({}); }, testing::ThrowsMessage<Error>(testing::HasSubstr("/dev/full")));
}

}  // namespace
}  // namespace lockstep
