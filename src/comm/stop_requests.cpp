#include "lockstep/comm/stop_requests.h"

#include <ATen/ATen.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include "lockstep/core/launch_environment.h"

namespace lockstep::comm {
namespace {

namespace fs = std::filesystem;
using SystemClock = std::chrono::system_clock;

constexpr std::size_t kFile = core::kStopSignals.size();
constexpr std::size_t kTime = kFile + 1;
constexpr const char* kHonouredFile = "STOPPED";
constexpr std::chrono::seconds kPollInterval{1};  // a check may take a millisecond on a network file system
constexpr std::chrono::seconds kSpareTime{20};
constexpr const char* kSlurmEnd = "SLURM_JOB_END_TIME";

const SystemClock::time_point kProcessStart = SystemClock::now();

// Takes a number, because ranks other than 0 learn the time from a sum.
std::string describe_end(double seconds_since_1970) {
  return fmt::format("the job's time ends at {:%H:%M:%S}",
                     fmt::localtime(static_cast<std::time_t>(seconds_since_1970)));
}

std::optional<SystemClock::time_point> end_by_slurm() {
  const std::string text = core::LaunchEnvironment().text(kSlurmEnd);
  if (text.empty()) return std::nullopt;
  std::uint32_t seconds = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const SystemClock::time_point end{std::chrono::seconds(seconds)};
  if (error == std::errc() && rest == text.data() + text.size() && end > SystemClock::now()) return end;
  spdlog::warn("{}: expected seconds since 1970, later than now, found '{}'; the run will not stop in time on its own",
               kSlurmEnd, text);
  return std::nullopt;
}

}  // namespace

StopRequests::StopRequests(std::shared_ptr<Communicator> communicator, StopOptions options)
    : communicator_(std::move(communicator)),
      options_(std::move(options)),
      sums_(at::zeros({static_cast<std::int64_t>(kReasons)}, at::kDouble)) {}

std::array<double, StopRequests::kReasons> StopRequests::local_state() {
  std::array<double, kReasons> known{};
  const int signal = core::stop_signal();
  for (std::size_t i = 0; i < core::kStopSignals.size(); ++i) known[i] = core::kStopSignals[i].number == signal ? 1 : 0;
  if (!communicator_->is_root()) return known;
  if (file_is_there()) known[kFile] = 1;
  if (time_is_over()) known[kTime] = static_cast<double>(SystemClock::to_time_t(*options_.end));
  return known;
}

void StopRequests::apply_sums(std::span<const double> sums) {
  if (agreed()) return;
  const int ranks = communicator_->world_size();
  for (std::size_t i = 0; i < core::kStopSignals.size(); ++i) {
    if (sums[i] == 0) continue;
    const std::string where = ranks == 1 ? "" : fmt::format(" on {} of {} ranks", sums[i], ranks);
    reasons_.push_back(core::kStopSignals[i].name + where);
  }
  is_for_file_ = sums[kFile] != 0;
  if (is_for_file_) reasons_.push_back(fmt::format("the file {}", options_.file.string()));
  if (sums[kTime] != 0) reasons_.push_back(describe_end(sums[kTime]));
}

bool StopRequests::agree() {
  begin_synchronize();
  return finish_synchronize();
}

void StopRequests::begin_synchronize() {
  const auto known = local_state();
  std::ranges::copy(known, sums_.data_ptr<double>());
  pending_ = communicator_->begin_all_reduce_sum(sums_, "an agreement on whether to stop");
}

bool StopRequests::finish_synchronize() {
  std::exchange(pending_, nullptr)->wait();
  apply_sums({sums_.const_data_ptr<double>(), kReasons});
  return agreed();
}

std::string StopRequests::reason() const { return fmt::format("{}", fmt::join(reasons_, ", and ")); }

void StopRequests::stop(const std::string& consequence) {
  if (is_for_file_ && communicator_->is_root()) {
    std::error_code error;
    fs::rename(options_.file, stopped_file(), error);
    if (error) {
      spdlog::warn("{}: cannot rename to {}: {}; remove it before you run the same command again",
                   options_.file.string(), kHonouredFile, error.message());
    }
  }
  throw core::Stopped(fmt::format("stopped: {}; {}", reason(), consequence));
}

void StopRequests::check(const std::string& consequence) {
  if (agree()) stop(consequence);
}

void StopRequests::clear_old() {
  if (options_.file.empty() || !communicator_->is_root()) return;
  std::error_code error;
  fs::remove(stopped_file(), error);
  if (error) core::throw_system_error("remove", stopped_file(), error.value());
}

bool StopRequests::file_is_there() {
  const auto now = std::chrono::steady_clock::now();
  if (options_.file.empty() || has_seen_file_ || now < next_look_) return has_seen_file_;
  next_look_ = now + kPollInterval;
  std::error_code unreachable;  // treated as not there
  has_seen_file_ = fs::exists(options_.file, unreachable);
  return has_seen_file_;
}

bool StopRequests::time_is_over() const {
  return options_.end && SystemClock::now() + time_to_save_ + kSpareTime >= *options_.end;
}

fs::path StopRequests::stopped_file() const { return options_.file.parent_path() / kHonouredFile; }

std::optional<SystemClock::time_point> end_of_job(std::int64_t max_run_minutes) {
  std::optional<SystemClock::time_point> end = end_by_slurm();
  if (max_run_minutes > 0) {
    const auto wished = kProcessStart + std::chrono::minutes(max_run_minutes);
    end = end ? std::min(*end, wished) : wished;
  }
  return end;
}

}  // namespace lockstep::comm
