#pragma once

#include <functional>
#include <memory>

#include "lockstep/comm/communicator.h"

namespace lockstep::cli {

/// Runs a subcommand on the ranks that the launcher started. If `work` throws on a rank, that rank reports the error
/// with its name and aborts the job with exit status 1; a process that runs without other ranks throws Error instead.
/// If `work` throws Stopped on all ranks, rank 0 logs the reason and all exit with kStoppedExitCode.
void run_on_ranks(const std::function<void(const std::shared_ptr<Communicator>&)>& work);

/// Returns the message of an exception, without LibTorch's stack trace.
std::string describe_error(const std::exception& error);

}  // namespace lockstep::cli
