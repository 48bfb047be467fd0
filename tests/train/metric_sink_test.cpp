#include "lockstep/train/metric_sink.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>
#include <cmath>
#include <fstream>
#include <sstream>

#include "core/captured_log.h"
#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/json.h"

namespace lockstep::train {
namespace {

using test::CapturedLog;

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
                  .flops = 1e9,
                  .peak_flops = 8e9,
                  .input_wait = 0.125,
                  .seconds = 0.5});
  }
  sink.on_evaluation(
      {.step = 4, .epoch = 1, .values = {{"loss", 0.75}, {"other", 0.5}}, .target_tokens = 10, .seconds = 0.1});
  std::istringstream lines(core::read_file(path));
  std::vector<Json> read;
  for (std::string line; std::getline(lines, line);) read.push_back(Json::parse(line));
  ASSERT_EQ(read.size(), 3U);
  EXPECT_EQ(read[0]["event"], "step");
  EXPECT_EQ(read[0]["step"], 2);
  EXPECT_EQ(read[1]["step"], 4);
  EXPECT_EQ(read[0]["loss"], 1.25);
  EXPECT_EQ(read[0]["tokens_per_second"], 200);
  EXPECT_EQ(read[0]["input_wait"], 0.125);
  EXPECT_EQ(read[0]["mfu"], 0.25);
  EXPECT_EQ(read[2]["event"], "evaluation");
  EXPECT_EQ(read[2].dump(), R"({"event":"evaluation","step":4,"epoch":1.0,"eval_loss":0.75,"eval_other":0.5,)"
                            R"("target_tokens":10,"seconds":0.1})");
  std::filesystem::remove(path);
}

TEST(JsonLinesSink, ASkippedStepSaysSoAndItsNumbersAreNull) {
  const auto path = std::filesystem::temp_directory_path() / ("metric_sink_test_" + std::to_string(::getpid()));
  JsonLinesSink sink(path, 1);
  sink.on_step({.step = 1, .loss = std::nan(""), .grad_norm = HUGE_VAL, .tokens = 9, .seconds = 1, .skipped = true});
  sink.on_step({.step = 2, .loss = 1, .tokens = 9, .seconds = 1});
  std::istringstream lines(core::read_file(path));
  std::string first, second;
  std::getline(lines, first);
  std::getline(lines, second);
  const Json skipped = Json::parse(first);
  EXPECT_EQ(skipped["skipped"], true);
  EXPECT_TRUE(skipped["loss"].is_null() && skipped["grad_norm"].is_null()) << first;
  EXPECT_FALSE(Json::parse(second).contains("skipped"));
  EXPECT_FALSE(Json::parse(second).contains("mfu"));  // the peak is unknown
  std::filesystem::remove(path);
}

TEST(JsonLinesSink, AFullDiskStopsTheRunWithItsName) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full on this system";
  JsonLinesSink sink("/dev/full", 1);
  EXPECT_THAT([&] { sink.on_evaluation({}); }, testing::ThrowsMessage<Error>(testing::HasSubstr("/dev/full")));
}

class ResumedJsonLinesSink : public testing::Test {
 protected:
  ~ResumedJsonLinesSink() override { std::filesystem::remove(path_); }

  // Writes steps 1 to 4, an evaluation after every second one, and an incomplete line.
  void write_killed_run() {
    JsonLinesSink sink(path_, 1);
    for (std::uint64_t step = 1; step <= 4; ++step) {
      sink.on_step({.step = step, .loss = 1.0 / static_cast<double>(step), .seconds = 1});
      if (step % 2 == 0) sink.on_evaluation({.step = step, .values = {{"loss", 2}}});
    }
    // Lines that another program may have added, and an incomplete one.
    std::ofstream(path_, std::ios::app) << "[]\n{\"event\": 1, \"step\": \"x\"}\n"
                                        << R"({"event": "step", "st)";
  }
  std::string events() const {
    std::string result;
    std::istringstream lines(core::read_file(path_));
    for (std::string line; std::getline(lines, line);) {
      const Json json = Json::parse(line);
      result += fmt::format("{}{} ", json["event"] == "step" ? "s" : "e", json["step"].get<int>());
    }
    return result;
  }

  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("metric_sink_test_" + std::to_string(::getpid()));
};

TEST_F(ResumedJsonLinesSink, KeepsTheLinesUpToTheCheckpointAndGoesOnBehindThem) {
  const std::vector<std::pair<RunPosition, std::string>> cases = {{{4, true}, "s1 s2 e2 s3 s4 e4 "},
                                                                  {{4, false}, "s1 s2 e2 s3 s4 "},
                                                                  {{2, true}, "s1 s2 e2 "},
                                                                  {{2, false}, "s1 s2 "},
                                                                  {{1, false}, "s1 "}};
  for (const auto& [position, kept] : cases) {
    write_killed_run();
    JsonLinesSink sink(path_, 1, position);
    EXPECT_EQ(events(), kept);
    sink.on_step({.step = position.step + 1, .seconds = 1});
    EXPECT_EQ(events(), kept + fmt::format("s{} ", position.step + 1));
  }
}

TEST_F(ResumedJsonLinesSink, WarnsOfLinesThatAreMissing) {
  {
    const test::CapturedLog log;
    write_killed_run();
    JsonLinesSink(path_, 1, RunPosition{4, true});
    EXPECT_EQ(log.text(), "");
  }
  const test::CapturedLog log;
  std::filesystem::remove(path_);
  JsonLinesSink(path_, 1, RunPosition{4, true});
  EXPECT_THAT(log.text(), testing::HasSubstr("expected lines of 4 steps up to the checkpoint, found 0"));
}

TEST(EpochSink, GoesOnFromAStateAsIfItHadSeenAll) {
  EpochSink whole(5, 2), begun(5, 2), resumed(5, 2);
  const auto feed = [](EpochSink& sink, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t step = first; step <= last; ++step) {
      sink.on_step({.step = step,
                    .epoch = 0.5 * static_cast<double>(step),
                    .loss = step < 3 ? std::nan("") : 0.1 * static_cast<double>(step),
                    .tokens = 10 + step,
                    .target_tokens = step,
                    .seconds = 0.3,
                    .skipped = step < 3});
      if (step == 2) sink.on_evaluation({.step = 2, .values = {{"loss", 0.7}}});
    }
  };
  feed(whole, 1, 5);
  feed(begun, 1, 3);
  resumed.restore(Json::parse(begun.state().dump()));
  feed(resumed, 4, 5);
  EXPECT_EQ(resumed.state().dump(), whole.state().dump());
  EXPECT_TRUE(std::isnan(resumed.epochs().front().loss));
  EXPECT_THROW(resumed.restore(Json::parse(R"({"epochs": [{"step": "x"}]})")), InputError);
}

TEST(EpochSink, RemembersTheMeanOverTheTokensOfEachEpochAndOfItsBegunLast) {
  EpochSink sink(3, 2);
  sink.on_step({.step = 1, .epoch = 0.5, .loss = 1, .tokens = 30, .target_tokens = 10, .seconds = 1});
  sink.on_step({.step = 2, .epoch = 1, .loss = 4, .tokens = 90, .target_tokens = 20, .seconds = 2});
  sink.on_evaluation({.step = 2, .epoch = 1, .values = {{"loss", 0.75}}});
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

TEST(ConsoleSink, TellsTheSpeedAndAWaitForRowsThatIsWorthALook) {
  const auto line = [](double peak_flops, double input_wait) {
    EpochSink epochs(2, 2);
    ConsoleSink console(2, epochs);
    const test::CapturedLog log;
    for (const std::uint64_t step : {1U, 2U}) {
      const StepMetrics metrics{.step = step,
                                .epoch = 0.5 * static_cast<double>(step),
                                .loss = 2,
                                .tokens = 300,
                                .target_tokens = 1,
                                .flops = 3e9,
                                .peak_flops = peak_flops,
                                .input_wait = step == 1 ? 0 : input_wait,
                                .seconds = 0.5};
      epochs.on_step(metrics);
      console.on_step(metrics);
    }
    return log.text();
  };
  EXPECT_THAT(line(0, 0.019), testing::HasSubstr("epoch 1: step 2/2, loss 2.0000, 600 tokens/s\n"));
  EXPECT_THAT(line(12e9, 0.04), testing::HasSubstr("loss 2.0000, 600 tokens/s, MFU 50.0 %, input wait 2.0 %\n"));
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
}  // namespace lockstep::train
