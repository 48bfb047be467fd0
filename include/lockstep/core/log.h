#pragma once

#include <spdlog/spdlog.h>
#include <filesystem>

namespace lockstep {

/// Sends spdlog's default logger to stderr. Rank 0 logs everything from "info" up; the other ranks only
/// errors, each line with its rank, so that a message appears once, not once a rank.
void initialise_logging(int rank);

/// Also appends the log to a file; on rank 0 only.
void log_to_file(const std::filesystem::path& path);

}  // namespace lockstep
