#include "lockstep/core/progress.h"

#include <fmt/format.h>
#include <unistd.h>
#include <cmath>
#include <cstdio>
#include <utility>

namespace lockstep::core {
namespace {

constexpr std::chrono::milliseconds kTerminalInterval{100};
constexpr std::chrono::seconds kLogInterval{15};
constexpr int kBarWidth = 24;

}  // namespace

Progress::Progress(std::string title, std::string unit, std::uint64_t total, bool enabled, std::uint64_t before)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      before_(before),
      enabled_(enabled),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      next_draw_(start_ + (terminal_ ? Clock::duration(kTerminalInterval) : Clock::duration(kLogInterval))) {}

Progress::~Progress() { clear(); }

void Progress::update(std::uint64_t done, std::string_view note) {
  const auto now = Clock::now();
  if (!enabled_ || now < next_draw_) return;
  next_draw_ = now + (terminal_ ? Clock::duration(kTerminalInterval) : Clock::duration(kLogInterval));
  draw(done, note, std::chrono::duration<double>(now - start_).count());
}

void Progress::draw(std::uint64_t done, std::string_view note, double elapsed_s) {
  const double rate = elapsed_s > 0 ? static_cast<double>(done - before_) / elapsed_s : 0;
  const std::string left =
      rate > 0 && total_ >= done ? format_duration(static_cast<double>(total_ - done) / rate) : "?";
  const double share = total_ > 0 ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total_)) : 0;
  const std::string counts = fmt::format("{:3.0f}% {}/{} {}s, {:.3g} {}s/s, {} left{}{}", 100 * share, done, total_,
                                         unit_, rate, unit_, left, note.empty() ? "" : ", ", note);
  if (terminal_) {
    const int filled = static_cast<int>(std::lround(share * kBarWidth));
    fmt::print(stderr, "\r\033[K{} [{:=<{}}{:{}}] {}", title_, "", filled, "", kBarWidth - filled, counts);
    drawn_ = true;
  } else {
    fmt::print(stderr, "{}: {}\n", title_, counts);
  }
  std::fflush(stderr);
}

void Progress::clear() {
  if (!std::exchange(drawn_, false)) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
}

std::string format_duration(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::max(0.0, seconds) + 0.5);
  const auto hours = whole / 3600;
  const auto minutes = whole / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{:02}:{:02}", minutes, whole % 60);
}

}  // namespace lockstep::core
