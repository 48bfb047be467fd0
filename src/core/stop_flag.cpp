#include "lockstep/core/stop_flag.h"

#include <fmt/format.h>
#include <algorithm>
#include <atomic>

namespace lockstep::core {
namespace {

std::atomic<int> first_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler must not block");

void remember(int signal) {
  int none = 0;
  first_signal.compare_exchange_strong(none, signal);
}

}  // namespace

void install_stop_signals() {
  for (const StopSignal& signal : kStopSignals) {
    struct sigaction action {};
    action.sa_handler = remember;
    action.sa_flags = SA_RESTART;
    if (signal.number == SIGINT) action.sa_flags |= SA_RESETHAND;  // the second SIGINT ends the process
    ::sigemptyset(&action.sa_mask);
    ::sigaction(signal.number, &action, nullptr);
  }
}

int stop_signal() { return first_signal.load(); }

void check_stop_signal(const std::string& consequence) {
  const int came = stop_signal();
  const auto* signal = std::ranges::find(kStopSignals, came, &StopSignal::number);
  if (signal != kStopSignals.end()) throw Stopped(fmt::format("stopped: {}; {}", signal->name, consequence));
}

}  // namespace lockstep::core
