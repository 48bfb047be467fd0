#pragma once

#include <array>
#include <csignal>
#include <string>

#include "lockstep/core/error.h"

namespace lockstep::core {

/// The exit code of a run that stopped on request.
inline constexpr int kStoppedExitCode = 85;

/// Reports that the run stops on request, in good order: what() says why and what was saved, and the same command
/// resumes the run. Either all ranks of a job throw it, or some do within run_on_all().
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

/// Installs handlers that make the stop signals only set a flag, which long-running work polls. A second SIGINT ends
/// the process at once, as the first does by default.
void install_stop_signals();

/// Returns the number of the first stop signal received, or 0 if there was none.
int stop_signal();

/// Throws Stopped with the message "stopped: SIGTERM; CONSEQUENCE" if a stop signal has been received. For work that
/// one rank does by itself; ranks that work together agree through StopRequests.
void check_stop_signal(const std::string& consequence);

}  // namespace lockstep::core
