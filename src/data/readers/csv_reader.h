#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "data/readers/cell_reader.h"
#include "data/readers/csv_dialect.h"

namespace lockstep::data {

/// Opens a CSV file (RFC 4180, with a header row), which is read as a stream of blocks. `delimiter` is used if
/// `dialect` names none. Cells may contain quoted newlines. An unquoted empty cell counts as missing, a quoted one as
/// empty text. Other columns are ignored. Text after a closing quote, a quote that is never closed, and a row of more
/// than 4 MB are errors.
std::unique_ptr<CellBlocks> open_csv(const std::filesystem::path& path, const std::vector<Column>& columns,
                                     CsvDialect dialect, char delimiter);

}  // namespace lockstep::data
