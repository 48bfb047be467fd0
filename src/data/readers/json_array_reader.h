#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "data/readers/cell_reader.h"

namespace lockstep::data {

/// True if the text of a .json file begins with "[": then it is one array, else JSON Lines.
bool holds_json_array(const std::filesystem::path& path);

/// Reads a file that is one JSON array of objects, element by element as a stream.
std::unique_ptr<CellBlocks> open_json_array(const std::filesystem::path& path, const std::vector<Column>& columns);

}  // namespace lockstep::data
