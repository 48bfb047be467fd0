#include "lockstep/data/dataset.h"

#include <fmt/format.h>
#include <glob.h>
#include <algorithm>
#include <utility>

#include "file_reader.h"
#include "lockstep/core/error.h"
#include "lockstep/core/utf8.h"
#include "row_templates.h"
#include "saved_dataset.h"

namespace lockstep {

struct Dataset::Columns {
  std::vector<std::string> model_input;
  std::vector<std::string> model_output;
};

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kInMemoryName = "in-memory dataset";

class ColumnsReader final : public RowReader {
 public:
  ColumnsReader(std::shared_ptr<const void> owner, const std::vector<std::string>& model_input,
                const std::vector<std::string>& model_output)
      : owner_(std::move(owner)), model_input_(model_input), model_output_(model_output) {}

  std::optional<Row> next() override {
    if (rows_read_ == model_input_.size()) return std::nullopt;
    const std::size_t index = rows_read_++;
    check(model_input_[index], "model_input");
    check(model_output_[index], "model_output");
    return Row{model_input_[index], model_output_[index]};
  }
  std::string position() const override { return fmt::format("{}: row {}", kInMemoryName, rows_read_); }
  double progress() const override {
    return model_input_.empty() ? 1 : static_cast<double>(rows_read_) / static_cast<double>(model_input_.size());
  }

 private:
  void check(const std::string& cell, std::string_view column) const {
    if (const auto offset = find_invalid_utf8(cell)) {
      throw InputError(fmt::format("{}: {}: expected UTF-8, found byte 0x{:02x} at byte {}; convert the text to UTF-8",
                                   position(), column, static_cast<unsigned char>(cell[*offset]), *offset + 1));
    }
  }

  std::shared_ptr<const void> owner_;
  const std::vector<std::string>& model_input_;
  const std::vector<std::string>& model_output_;
  std::size_t rows_read_ = 0;
};

// Fills the templates with the rows' cells.
class TemplateReader final : public RowReader {
 public:
  TemplateReader(const std::vector<fs::path>& files, RowTemplates templates)
      : templates_(std::move(templates)), cells_reader_(open_cells(files, templates_.columns())) {}

  std::optional<Row> next() override {
    if (!cells_reader_->next(cells_)) return std::nullopt;
    return templates_.fill(cells_);
  }
  std::string position() const override { return cells_reader_->position(); }
  double progress() const override { return cells_reader_->progress(); }

 private:
  RowTemplates templates_;
  std::unique_ptr<CellReader> cells_reader_;
  Cells cells_;
};

struct Location {
  fs::path path;
  std::optional<std::string> split;
};

// What exists: the path as it stands, else a folder with a split behind it.
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

// In the order of their bytes, whatever the locale.
std::vector<std::string> match(const std::string& pattern) {
  glob_t found{};
  const int result = ::glob(pattern.c_str(), GLOB_NOSORT | GLOB_ERR, nullptr, &found);
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  std::error_code error;
  if (result == GLOB_NOMATCH) {
    throw InputError(
        fmt::format("{}: expected a file that matches, found none; check the pattern (it is relative to "
                    "the working folder {})",
                    pattern, fs::current_path(error).string()));
  }
  if (result != 0) throw InputError(fmt::format("{}: a folder of it cannot be read; check its permissions", pattern));
  std::ranges::sort(paths);
  return paths;
}

}  // namespace

Dataset Dataset::from_columns(std::vector<std::string> model_input, std::vector<std::string> model_output,
                              InputContainsOutput input_contains_output) {
  if (model_input.size() != model_output.size()) {
    throw InputError(
        fmt::format("{}: expected columns of one length, found {} in model_input and {} in model_output; "
                    "give each input its output",
                    kInMemoryName, model_input.size(), model_output.size()));
  }
  Dataset dataset;
  dataset.columns_ = std::make_shared<const Columns>(Columns{std::move(model_input), std::move(model_output)});
  dataset.options_.format.input_contains_output = input_contains_output;
  dataset.name_ = kInMemoryName;
  return dataset;
}

Dataset Dataset::from_file(const fs::path& path, const DatasetOptions& options) {
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
  RowTemplates(options.format, options.output_is_optional);
  return dataset;
}

Dataset Dataset::from_file(const fs::path& path) { return from_file(path, DatasetOptions()); }

std::vector<Dataset> Dataset::find(const std::string& location, const DatasetOptions& options) {
  std::error_code error;
  if (location.find_first_of("*?[") == std::string::npos || fs::exists(location, error)) {
    return {from_file(location, options)};
  }
  std::vector<Dataset> datasets;
  for (const auto& path : match(location)) datasets.push_back(from_file(path, options));
  return datasets;
}

std::unique_ptr<RowReader> Dataset::open() const {
  if (columns_) return std::make_unique<ColumnsReader>(columns_, columns_->model_input, columns_->model_output);
  return std::make_unique<TemplateReader>(files_, RowTemplates(options_.format, options_.output_is_optional));
}

}  // namespace lockstep
