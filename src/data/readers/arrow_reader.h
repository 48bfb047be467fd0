#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "data/readers/cell_reader.h"

namespace lockstep::data {

/// Opens an Arrow IPC file or stream, which is read one record batch at a time.
std::unique_ptr<CellBlocks> open_arrow(const std::filesystem::path& path, const std::vector<Column>& columns);

/// Opens a Parquet file, which is read a few hundred rows at a time, whatever the size of its row groups.
std::unique_ptr<CellBlocks> open_parquet(const std::filesystem::path& path, const std::vector<Column>& columns);

}  // namespace lockstep::data
