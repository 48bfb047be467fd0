#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep::core {

/// Shows the progress of a known number of units on stderr. On a terminal it redraws a bar with the remaining time in
/// place; elsewhere it prints a plain line every 15 seconds, so that a batch job's log stays short.
class Progress {
 public:
  /// `unit` is what is counted, e.g. "step". A disabled bar (on ranks other than 0) prints nothing. `before` of the
  /// `total` units were done by an earlier run and do not count towards the rate.
  Progress(std::string title, std::string unit, std::uint64_t total, bool enabled = true, std::uint64_t before = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Shows `done` units; `note` is printed after the counts, e.g. "loss 0.53". Cheap: draws at most ten times a second.
  void update(std::uint64_t done, std::string_view note = {});
  /// Clears the bar so that a log line can be written; the next update that draws shows it again.
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

/// Formats a duration as "1:02:03" or "04:05".
std::string format_duration(double seconds);

}  // namespace lockstep::core
