#include "cli/ranks.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <CLI/CLI.hpp>
#include <cstdlib>

#include "lockstep/core/log.h"
#include "lockstep/core/stop_flag.h"

namespace lockstep::cli {

std::string describe_error(const std::exception& error) {
  // LibTorch's what() includes a stack trace.
  if (const auto* of_torch = dynamic_cast<const c10::Error*>(&error)) return of_torch->what_without_backtrace();
  return error.what();
}

namespace {

// Prefixes the message with the current activity, e.g. the step, unless it already begins with it.
std::string describe_failure(const Communicator& communicator, const std::exception& error) {
  std::string message = describe_error(error);
  const std::string activity = communicator.activity();
  return activity.empty() || message.starts_with(activity) ? message : fmt::format("{}: {}", activity, message);
}

}  // namespace

void run_on_ranks(const std::function<void(const std::shared_ptr<Communicator>&)>& work) {
  std::shared_ptr<Communicator> communicator;
  try {
    communicator = make_communicator();
    initialise_logging(communicator->rank());
    work(communicator);
  } catch (const comm::PeerFailed&) {
    std::exit(EXIT_FAILURE);
  } catch (const core::Stopped& stopped) {
    spdlog::warn(stopped.what());
    throw CLI::RuntimeError(core::kStoppedExitCode);
  } catch (const std::exception& error) {
    if (!communicator) throw;
    const std::string message = describe_failure(*communicator, error);
    if (communicator->world_size() == 1) throw Error(message);
    core::report_error(fmt::format("{}: {}", comm::describe_rank(*communicator), message));
    communicator->abort(EXIT_FAILURE);
  }
}

}  // namespace lockstep::cli
