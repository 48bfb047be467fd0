#include "lockstep/train/metric_sink.h"

#include <gmock/gmock.h>
#include <unistd.h>
#include <cmath>
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

TEST(JsonLinesSink, ASkippedStepSaysSoAndItsNumbersAreNull) {
  const auto path = std::filesystem::temp_directory_path() / ("metric_sink_test_" + std::to_string(::getpid()));
  JsonLinesSink sink(path, 1);
  sink.on_step({.step = 1, .loss = std::nan(""), .grad_norm = HUGE_VAL, .tokens = 9, .seconds = 1, .skipped = true});
  sink.on_step({.step = 2, .loss = 1, .tokens = 9, .seconds = 1});
  std::istringstream lines(read_file(path));
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  const Json skipped = Json::parse(first);
  EXPECT_EQ(skipped["skipped"], true);
  EXPECT_TRUE(skipped["loss"].is_null() && skipped["grad_norm"].is_null()) << first;
  EXPECT_FALSE(Json::parse(second).contains("skipped"));
  std::filesystem::remove(path);
}

TEST(JsonLinesSink, AFullDiskStopsTheRunWithItsName) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full on this system";
  JsonLinesSink sink("/dev/full", 1);
  EXPECT_THAT([&] { sink.on_evaluation({}); }, testing::ThrowsMessage<Error>(testing::HasSubstr("/dev/full")));
}

TEST(EpochSink, RemembersTheMeanOverTheTokensOfEachEpochAndOfItsBegunLast) {
  EpochSink sink(3, 2);
  sink.on_step({.step = 1, .epoch = 0.5, .loss = 1, .tokens = 30, .target_tokens = 10, .seconds = 1});
  sink.on_step({.step = 2, .epoch = 1, .loss = 4, .tokens = 90, .target_tokens = 20, .seconds = 2});
  sink.on_evaluation({.step = 2, .epoch = 1, .eval_loss = 0.75});
  sink.on_step({.step = 3, .epoch = 1.5, .loss = 2, .tokens = 10, .target_tokens = 5, .seconds = 1});
  ASSERT_EQ(sink.epochs().size(), 2U);
  const auto& [first, last] = std::pair(sink.epochs()[0], sink.epochs()[1]);
  EXPECT_EQ(first.step, 2U);
  EXPECT_DOUBLE_EQ(first.loss, 3);
  EXPECT_DOUBLE_EQ(first.tokens_per_second, 40);
  EXPECT_EQ(first.eval_loss, 0.75);
  EXPECT_EQ(last.epoch, 1.5);
  EXPECT_DOUBLE_EQ(last.loss, 2);
  EXPECT_EQ(last.eval_loss, std::nullopt);
}

TEST(EpochSink, SkippedStepsAreCountedAndLeftOutOfTheLoss) {
  EpochSink sink(4, 2);
  sink.on_step({.step = 1, .loss = 3, .tokens = 10, .target_tokens = 10, .seconds = 1});
  sink.on_step({.step = 2, .loss = std::nan(""), .tokens = 30, .target_tokens = 10, .seconds = 1, .skipped = true});
  sink.on_step({.step = 3, .loss = HUGE_VAL, .tokens = 10, .target_tokens = 10, .seconds = 1, .skipped = true});
  sink.on_step(
      {.step = 4, .loss = 1, .grad_norm = HUGE_VAL, .tokens = 1, .target_tokens = 1, .seconds = 1, .skipped = true});
  ASSERT_EQ(sink.epochs().size(), 2U);
  EXPECT_DOUBLE_EQ(sink.epochs()[0].loss, 3);
  EXPECT_EQ(sink.epochs()[0].skipped_steps, 1U);
  EXPECT_DOUBLE_EQ(sink.epochs()[0].tokens_per_second, 20);
  EXPECT_TRUE(std::isnan(sink.epochs()[1].loss));
  EXPECT_EQ(sink.epochs()[1].skipped_steps, 2U);
}

}  // namespace
}  // namespace lockstep
