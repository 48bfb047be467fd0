#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "data/readers/cell_reader.h"

namespace lockstep::data {

/// Opens a CSV file (RFC 4180, with a header row; `delimiter` is a comma or a tab), which is read as a stream of
/// blocks. Cells may contain quoted newlines. An unquoted empty cell counts as missing, a quoted one as empty text.
/// Other columns are ignored.
std::unique_ptr<CellBlocks> open_csv(const std::filesystem::path& path, const std::vector<Column>& columns,
                                     char delimiter);

}  // namespace lockstep::data
