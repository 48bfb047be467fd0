#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "data/readers/cell_reader.h"
#include "data/readers/csv_dialect.h"

namespace lockstep::data {

/// Throws InputError unless the file name has the extension of a supported format.
void check_file_kind(const std::filesystem::path& path);

/// Opens a file of any supported format; see Dataset in data/dataset.h for the formats. `dialect` is for CSV and TSV.
std::unique_ptr<CellBlocks> open_cells(const std::filesystem::path& path, const std::vector<Column>& columns,
                                       const CsvDialect& dialect = {});

/// Opens files that are read one after another.
std::unique_ptr<CellBlocks> open_cells(const std::vector<std::filesystem::path>& files,
                                       const std::vector<Column>& columns, const CsvDialect& dialect);

}  // namespace lockstep::data
