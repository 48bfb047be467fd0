#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "data/readers/cell_reader.h"

namespace lockstep::data {

/// Throws InputError unless the file name has the extension of a supported format.
void check_file_kind(const std::filesystem::path& path);

/// Opens a file of any supported format; see Dataset in data/dataset.h for the formats.
std::unique_ptr<CellBlocks> open_cells(const std::filesystem::path& path, const std::vector<Column>& columns);

/// Opens files that are read one after another.
std::unique_ptr<CellBlocks> open_cells(const std::vector<std::filesystem::path>& files,
                                       const std::vector<Column>& columns);

}  // namespace lockstep::data
