#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "data/readers/cell_reader.h"

namespace lockstep::data {

/// Throws InputError unless the file's name is that of a kind that can be read.
void check_file_kind(const std::filesystem::path& path);

/// Reads a file of any kind; see Dataset for the kinds.
std::unique_ptr<CellBlocks> open_cells(const std::filesystem::path& path, const std::vector<Column>& columns);

/// Reads files one after another.
std::unique_ptr<CellBlocks> open_cells(const std::vector<std::filesystem::path>& files,
                                       const std::vector<Column>& columns);

}  // namespace lockstep::data
