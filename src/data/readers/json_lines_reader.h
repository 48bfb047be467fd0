#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "data/readers/cell_reader.h"

namespace lockstep::data {

/// Reads a JSON Lines file as a stream: one JSON object a line; blank lines and a byte order mark at the start are
/// skipped.
std::unique_ptr<CellBlocks> open_json_lines(const std::filesystem::path& path, const std::vector<Column>& columns);

}  // namespace lockstep::data
