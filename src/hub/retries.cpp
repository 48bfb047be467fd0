#include "hub/retries.h"

#include <spdlog/spdlog.h>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "lockstep/core/stop_flag.h"

namespace lockstep::hub {
namespace {

constexpr double kFirstPauseSeconds = 0.5;
constexpr double kLongestPauseSeconds = 8;
constexpr double kLongestRequestedPauseSeconds = 300;  // the window of the hub's rate limits

}  // namespace

Retries::Retries(int attempts) : attempts_(attempts) {}

bool Retries::wait(const std::string& why, std::optional<double> retry_after_s) {
  ++failed_;
  if (failed_ >= attempts_ || retry_after_s.value_or(0) > kLongestRequestedPauseSeconds) return false;
  const double pause_s = std::min(kLongestPauseSeconds, std::ldexp(kFirstPauseSeconds, failed_ - 1)) *
                         std::uniform_real_distribution(0.5, 1.0)(generator_);
  const double wait_s = std::max(pause_s, retry_after_s.value_or(0));
  spdlog::warn("{}; trying again in {:.1f} s (attempt {} of {})", why, wait_s, failed_ + 1, attempts_);
  std::this_thread::sleep_for(std::chrono::duration<double>(wait_s));
  core::check_stop_signal("the hub was not reached; run the same command again");
  return true;
}

void Retries::reset() { failed_ = 0; }

}  // namespace lockstep::hub
