#pragma once

#include <spdlog/spdlog.h>
#include <filesystem>
#include <string>

namespace lockstep::core {

/// Sends spdlog's default logger to stderr. Rank 0 logs from level "info" up; the other ranks log only errors, each
/// line with its rank, so that a message appears once and not once per rank.
void initialise_logging(int rank);

/// Also appends the log to a file. Called on rank 0 only. Throws InputError if the file cannot be written.
void log_to_file(const std::filesystem::path& path);

/// Writes the one line that a failed run leaves on stderr, whatever the log level.
void report_error(const std::string& message);

}  // namespace lockstep::core

namespace lockstep {
using core::initialise_logging;
}  // namespace lockstep
