#pragma once

#include <spdlog/spdlog.h>
#include <filesystem>
#include <string>

namespace lockstep::core {

/// Sends spdlog's default logger to stderr. Rank 0 logs everything from "info" up; the other ranks only
/// errors, each line with its rank, so that a message appears once, not once a rank.
void initialise_logging(int rank);

/// Also appends the log to a file; on rank 0 only.
void log_to_file(const std::filesystem::path& path);

/// Writes the one line that a failed run leaves on stderr, whatever the log shows.
void report_error(const std::string& message);

}  // namespace lockstep::core

namespace lockstep {
using core::initialise_logging;
}  // namespace lockstep
