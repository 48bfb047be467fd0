#include "train/step_profiler.h"

#include <gmock/gmock.h>
#include <torch/torch.h>
#include <unistd.h>

#include "core/captured_log.h"
#include "lockstep/core/atomic_file.h"
#include "lockstep/core/json.h"

namespace lockstep::train {
namespace {

using test::CapturedLog;

class Profile : public testing::Test {
 protected:
  ~Profile() override { std::filesystem::remove_all(folder_); }

  // Runs steps of a product and its gradient.
  void run_steps(std::uint64_t count, std::uint64_t profiled, bool has_table = true) const {
    StepProfiler profiler(trace_, profiled, at::kCPU, has_table);
    const at::Tensor weight = torch::ones({50, 50}, torch::requires_grad());
    for (std::uint64_t step = 1; step <= count; ++step) {
      weight.mm(weight).relu().sum().backward();
      profiler.on_step({.step = step, .seconds = 0.001});
    }
  }

  // Returns how often an operator is in the trace.
  std::ptrdiff_t calls_of(const std::string& name) const {
    const Json trace = core::read_json_file(trace_);
    return std::ranges::count_if(trace.at("traceEvents"),
                                 [&](const Json& event) { return event.value("name", "") == name; });
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("step_profiler_test_" + std::to_string(::getpid()));
  const std::filesystem::path trace_ = folder_ / "profile" / "rank-0.json";
};

TEST_F(Profile, HasTheStepsFromTheFourthOn) {
  const test::CapturedLog log;
  run_steps(10, 2);
  EXPECT_EQ(calls_of("aten::relu"), 2);
  EXPECT_EQ(calls_of("aten::mm"), 2 * 3);  // forward, and backward for both factors
  EXPECT_THAT(log.text(), testing::AllOf(testing::HasSubstr("2 steps up to step 5"), testing::HasSubstr("aten::mm"),
                                         testing::HasSubstr("outside of operators")));
}

TEST_F(Profile, OfAShorterRunIsWhatThereIsAndAWarning) {
  const test::CapturedLog log;
  run_steps(4, 5, /*has_table=*/false);
  EXPECT_EQ(calls_of("aten::relu"), 1);
  EXPECT_THAT(log.text(), testing::AllOf(testing::HasSubstr("expected 5 steps and 3 before them, found 4"),
                                         testing::Not(testing::HasSubstr("aten::mm"))));
}

TEST_F(Profile, OfARunThatEndsBeforeIsNone) {
  const test::CapturedLog log;
  run_steps(2, 5);
  EXPECT_FALSE(std::filesystem::exists(trace_));
  EXPECT_THAT(log.text(), testing::HasSubstr("found 2"));
}

TEST_F(Profile, ThatCannotBeWrittenIsAnErrorThatNamesIt) {
  std::filesystem::create_directories(folder_);
  core::write_file(folder_ / "profile", "a file where the folder would be");
  const test::CapturedLog log;
  EXPECT_THAT([&] { run_steps(10, 2); }, testing::ThrowsMessage<std::exception>(testing::HasSubstr(trace_.string())));
}

}  // namespace
}  // namespace lockstep::train
