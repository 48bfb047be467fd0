#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/row_templates.h"
#include "lockstep/data/dataset.h"

namespace lockstep::data {

/// Rows in memory: columns of one length.
struct RowColumns {
  std::vector<std::string> model_input;
  std::vector<std::string> model_output;
};

/// How such rows are called in messages.
constexpr std::string_view kInMemoryDataset = "in-memory dataset";

std::unique_ptr<RowBlocks> open_columns(std::shared_ptr<const RowColumns> columns);

/// Reads files one after another, and fills the templates with their rows' cells.
std::unique_ptr<RowBlocks> open_files(const std::vector<std::filesystem::path>& files, RowTemplates templates);

/// The rows of all blocks, one after another.
std::unique_ptr<RowReader> read_blocks(std::unique_ptr<RowBlocks> blocks);

}  // namespace lockstep::data
