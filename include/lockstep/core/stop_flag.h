#pragma once

#include <array>
#include <csignal>
#include <string>

#include "lockstep/core/error.h"

namespace lockstep::core {

/// The exit code of a run that ended on request.
inline constexpr int kStoppedExitCode = 85;

/// The run ends on request, in good order: what() says why, and what is saved; the same command run again goes on. All
/// ranks of a job throw it alike, or some do within run_on_all().
class Stopped : public Error {
 public:
  using Error::Error;
};

struct StopSignal {
  int number = 0;
  const char* name = "";
};

inline constexpr std::array<StopSignal, 3> kStopSignals = {
    {{SIGTERM, "SIGTERM"}, {SIGUSR1, "SIGUSR1"}, {SIGINT, "SIGINT"}}};

/// From then on the stop signals only set a flag, and whoever works looks at it. A second SIGINT ends the process at
/// once, as the first does by default.
void install_stop_signals();

/// The number of the first stop signal that came; 0: none.
int stop_signal();

/// Throws Stopped, "stopped: SIGTERM; CONSEQUENCE", if a stop signal has come. For work of one rank by itself; where
/// ranks work together, StopRequests lets them agree.
void check_stop_signal(const std::string& consequence);

}  // namespace lockstep::core
