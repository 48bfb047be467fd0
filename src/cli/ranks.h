#pragma once

#include <functional>
#include <memory>

#include "lockstep/comm/communicator.h"

namespace lockstep::cli {

/// Runs a subcommand on the ranks that the launcher started. If `work` throws on one rank alone, that rank says why,
/// with its name, and ends the whole job; exits with 1. If all throw Stopped, rank 0 says why, and all exit with
/// kStoppedExitCode.
void run_on_ranks(const std::function<void(const std::shared_ptr<Communicator>&)>& work);

/// What an exception says, in one line.
std::string describe_error(const std::exception& error);

}  // namespace lockstep::cli
