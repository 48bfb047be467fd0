#include "train/step_profiler.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <torch/csrc/autograd/profiler_kineto.h>
#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep::train {
namespace {

namespace kineto = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;

constexpr std::uint64_t kWarmUpSteps = 3;
constexpr std::size_t kLines = 25;

struct OperatorTime {
  double self_s = 0;
  std::uint64_t calls = 0;
};

// Adds up the self time of each operator, which excludes the operators nested in it on the same thread.
std::map<std::string, OperatorTime> add_up(const std::vector<kineto::KinetoEvent>& events, c10::DeviceType device) {
  std::vector<const kineto::KinetoEvent*> of_device;
  for (const auto& event : events) {
    if (event.deviceType() == device) of_device.push_back(&event);
  }
  std::ranges::sort(of_device, {}, [](const kineto::KinetoEvent* event) {
    return std::tuple(event->startThreadId(), event->deviceResourceId(), event->startNs(), ~event->durationNs());
  });
  std::map<std::string, OperatorTime> times;
  std::vector<const kineto::KinetoEvent*> around;
  for (const kineto::KinetoEvent* event : of_device) {
    const auto is_within = [&](const kineto::KinetoEvent* outer) {
      return outer->startThreadId() == event->startThreadId() &&
             outer->deviceResourceId() == event->deviceResourceId() && event->endNs() <= outer->endNs();
    };
    while (!around.empty() && !is_within(around.back())) around.pop_back();
    const double seconds = 1e-9 * static_cast<double>(event->durationNs());
    OperatorTime& time = times[event->name()];
    time.self_s += seconds;
    ++time.calls;
    if (!around.empty()) times[around.back()->name()].self_s -= seconds;
    around.push_back(event);
  }
  return times;
}

void print_table(const std::map<std::string, OperatorTime>& times, double recorded_s) {
  std::vector<std::pair<std::string, OperatorTime>> sorted(times.begin(), times.end());
  std::ranges::stable_sort(sorted, std::ranges::greater{}, [](const auto& entry) { return entry.second.self_s; });
  double others_s = 0, in_operators_s = 0;
  spdlog::info("profile: {:>9} {:>7} {:>8}  operator", "self", "share", "calls");
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const auto& [name, time] = sorted[i];
    in_operators_s += time.self_s;
    if (i >= kLines) {
      others_s += time.self_s;
      continue;
    }
    spdlog::info("profile: {:>7.3f} s {:>5.1f} % {:>8}  {}", time.self_s, 100 * time.self_s / recorded_s, time.calls,
                 name);
  }
  const auto rest = [&](double seconds, const char* what) {
    spdlog::info("profile: {:>7.3f} s {:>5.1f} % {:>8}  {}", seconds, 100 * seconds / recorded_s, "", what);
  };
  if (sorted.size() > kLines) rest(others_s, "all other operators");
  rest(std::max(0.0, recorded_s - in_operators_s), "outside of operators");
}

}  // namespace

StepProfiler::StepProfiler(std::filesystem::path trace, std::uint64_t steps, at::Device device, bool has_table)
    : trace_(std::move(trace)), steps_(steps), device_(device), has_table_(has_table) {}

StepProfiler::~StepProfiler() {
  if (seen_ < kWarmUpSteps + steps_) {
    spdlog::warn("profile: expected {} steps and {} before them, found {} in this run", steps_, kWarmUpSteps, seen_);
  }
  if (!is_recording_) return;
  try {
    finish();
  } catch (const std::exception& error) {
    spdlog::warn("profile: {}", error.what());
  }
}

void StepProfiler::on_step(const StepMetrics& metrics) {
  ++seen_;
  if (is_recording_) {
    recorded_s_ += metrics.seconds;
    last_step_ = metrics.step;
    if (seen_ == kWarmUpSteps + steps_) finish();
  } else if (seen_ == kWarmUpSteps) {
    begin();
  }
}

void StepProfiler::begin() {
  ::setenv("KINETO_LOG_LEVEL", "5", /*overwrite=*/0);  // silences its log
  const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
  std::set<ActivityType> activities = {ActivityType::CPU};
  if (device_.is_cuda()) activities.insert(ActivityType::CUDA);
  kineto::prepareProfiler(config, activities);
  kineto::enableProfiler(config, activities);
  is_recording_ = true;
}

void StepProfiler::finish() {
  is_recording_ = false;
  const auto result = kineto::disableProfiler();
  std::error_code error;
  std::filesystem::create_directories(trace_.parent_path(), error);
  result->save(trace_.string());
  if (std::filesystem::file_size(trace_, error) == 0 || error) {
    throw Error(fmt::format(
        "{}: expected the trace to be written there, found none; check the folder and the disk, or leave out --profile",
        trace_.string()));
  }
  if (!has_table_) return;
  spdlog::info("profile: {} steps up to step {}, {:.3f} s; the traces are in {}", seen_ - kWarmUpSteps, last_step_,
               recorded_s_, trace_.parent_path().string());
  print_table(add_up(result->events(), device_.type()), recorded_s_);
}

}  // namespace lockstep::train
