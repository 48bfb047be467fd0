#include "lockstep/data/dataset.h"

#include <fmt/format.h>
#include <algorithm>
#include <utility>

#include "data/file_patterns.h"
#include "data/readers/csv_dialect.h"
#include "data/readers/file_reader.h"
#include "data/readers/row_blocks.h"
#include "data/readers/saved_dataset.h"
#include "data/row_templates.h"
#include "lockstep/core/error.h"
#include "lockstep/core/home_folder.h"

namespace lockstep::data {

namespace {

namespace fs = std::filesystem;

struct Location {
  fs::path path;
  std::optional<std::string> split;
};

// Takes `text` as a path if that exists, else as FOLDER:SPLIT if the folder exists.
Location find_location(const std::string& text) {
  std::error_code error;
  if (fs::exists(text, error)) return {text, std::nullopt};
  const std::size_t colon = text.rfind(':');
  if (colon != std::string::npos && fs::is_directory(text.substr(0, colon), error)) {
    return {text.substr(0, colon), text.substr(colon + 1)};
  }
  throw InputError(fmt::format("{}: no such dataset file; check the path (it is relative to the working folder {})",
                               text, fs::current_path(error).string()));
}

}  // namespace

Dataset Dataset::from_columns(std::vector<std::string> model_input, std::vector<std::string> model_output,
                              InputContainsOutput input_contains_output) {
  if (model_input.size() != model_output.size()) {
    throw InputError(
        fmt::format("{}: expected columns of equal length, found {} in model_input and {} in model_output; give each "
                    "input its output",
                    kInMemoryDataset, model_input.size(), model_output.size()));
  }
  Dataset dataset;
  dataset.columns_ = std::make_shared<const RowColumns>(RowColumns{std::move(model_input), std::move(model_output)});
  dataset.options_.format.input_contains_output = input_contains_output;
  dataset.name_ = kInMemoryDataset;
  return dataset;
}

Dataset Dataset::from_file(const fs::path& given_path, const DatasetOptions& options) {
  const fs::path path = core::expand_home(given_path.string());
  const Location location = find_location(path.string());
  Dataset dataset;
  dataset.options_ = options;
  dataset.name_ = path.string();
  if (fs::is_directory(location.path)) {
    SavedDataset saved = describe_saved_dataset(location.path, location.split, options.default_split);
    dataset.files_ = std::move(saved.files);
    if (saved.split) dataset.name_ = fmt::format("{}:{}", location.path.string(), *saved.split);
  } else {
    dataset.files_.push_back(path);
  }
  for (const auto& file : dataset.files_) check_file_kind(file);
  const RowTemplates valid(options.format, options.output_is_optional);
  csv_dialect_of(options.format);  // throws if it is invalid
  return dataset;
}

Dataset Dataset::from_file(const fs::path& path) { return from_file(path, DatasetOptions()); }

std::vector<Dataset> Dataset::find(const std::string& given_location, const DatasetOptions& options) {
  const std::string location = core::expand_home(given_location);
  std::error_code error;
  if (!is_file_pattern(location) || fs::exists(location, error)) {
    return {from_file(location, options)};
  }
  std::vector<Dataset> datasets;
  for (const auto& path : find_matching_files(location)) datasets.push_back(from_file(path, options));
  return datasets;
}

std::unique_ptr<RowReader> Dataset::open() const { return read_blocks(open_blocks()); }

std::unique_ptr<RowBlocks> Dataset::open_blocks() const {
  if (columns_) return open_columns(columns_);
  return open_files(files_, RowTemplates(options_.format, options_.output_is_optional),
                    csv_dialect_of(options_.format));
}

}  // namespace lockstep::data
