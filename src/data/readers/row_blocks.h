#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/readers/csv_dialect.h"
#include "data/row_templates.h"
#include "lockstep/data/dataset.h"

namespace lockstep::data {

/// Rows in memory, as columns of equal length.
struct RowColumns {
  std::vector<std::string> model_input;
  std::vector<std::string> model_output;
};

/// The name of such rows in messages.
constexpr std::string_view kInMemoryDataset = "in-memory dataset";

std::unique_ptr<RowBlocks> open_columns(std::shared_ptr<const RowColumns> columns);

/// Opens files that are read one after another, and fills in the templates with the cells of their rows.
std::unique_ptr<RowBlocks> open_files(const std::vector<std::filesystem::path>& files, RowTemplates templates,
                                      const CsvDialect& dialect);

/// Returns a reader of the rows of all blocks, one after another.
std::unique_ptr<RowReader> read_blocks(std::unique_ptr<RowBlocks> blocks);

}  // namespace lockstep::data
