#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "data/readers/cell_reader.h"

namespace lockstep::data {

/// Opens a JSON Lines file, which is read as a stream: one JSON object per line. Blank lines and a byte order mark at
/// the start are skipped.
std::unique_ptr<CellBlocks> open_json_lines(const std::filesystem::path& path, const std::vector<Column>& columns);

}  // namespace lockstep::data
