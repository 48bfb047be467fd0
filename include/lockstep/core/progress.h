#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep::core {

/// Progress of a known number of units on stderr: a bar with the time left, redrawn in place, on a
/// terminal; a plain line now and then otherwise, so that a batch job's log stays short.
class Progress {
 public:
  /// `unit` is what is counted, e.g. "step". A disabled bar (on ranks other than 0) prints nothing. Of `total`,
  /// `before` were done by another run.
  Progress(std::string title, std::string unit, std::uint64_t total, bool enabled = true, std::uint64_t before = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `note` stands behind the bar, e.g. "loss 0.53". Cheap: draws at most ten times a second.
  void update(std::uint64_t done, std::string_view note = {});
  /// Clears the bar so that a log line can be written; the next update draws it again.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void draw(std::uint64_t done, std::string_view note, double elapsed_s);

  std::string title_;
  std::string unit_;
  std::uint64_t total_;
  std::uint64_t before_;
  bool enabled_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point start_;
  Clock::time_point next_draw_;
};

/// "1:02:03" or "04:05".
std::string format_duration(double seconds);

}  // namespace lockstep::core
