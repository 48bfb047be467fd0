#pragma once

#include <filesystem>
#include <memory>

#include "lockstep/data/dataset.h"

namespace lockstep {

/// Reads a JSON Lines file as a stream: one JSON object a line; blank lines and a byte order mark at the start are
/// skipped.
std::unique_ptr<RowReader> open_json_lines(const std::filesystem::path& path);

}  // namespace lockstep
