#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "data/readers/cell_reader.h"

namespace lockstep::data {

/// Returns true if the text of a .json file begins with "[": the file is then one array, else JSON Lines.
bool holds_json_array(const std::filesystem::path& path);

/// Opens a file that is one JSON array of objects, which is read as a stream, element by element.
std::unique_ptr<CellBlocks> open_json_array(const std::filesystem::path& path, const std::vector<Column>& columns);

}  // namespace lockstep::data
