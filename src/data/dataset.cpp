#include "lockstep/data/dataset.h"

#include <fmt/format.h>
#include <algorithm>
#include <cerrno>

#include "csv_reader.h"
#include "json_lines_reader.h"
#include "lockstep/core/error.h"
#include "lockstep/core/utf8.h"

namespace lockstep {

struct Dataset::Columns {
  std::vector<std::string> model_input;
  std::vector<std::string> model_output;
};

namespace {

constexpr std::string_view kInMemoryName = "in-memory dataset";

enum class FileKind { json_lines, csv };

FileKind file_kind(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  if (extension == ".jsonl" || extension == ".json") return FileKind::json_lines;
  if (extension == ".csv") return FileKind::csv;
  throw InputError(
      fmt::format("{}: expected a dataset file, found {}; supported are .jsonl and .json (JSON Lines) "
                  "and .csv",
                  path.string(), extension.empty() ? "a name without extension" : "the extension " + extension));
}

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

}  // namespace

Dataset Dataset::from_columns(std::vector<std::string> model_input, std::vector<std::string> model_output) {
  if (model_input.size() != model_output.size()) {
    throw InputError(
        fmt::format("{}: expected columns of one length, found {} in model_input and {} in model_output; "
                    "give each input its output",
                    kInMemoryName, model_input.size(), model_output.size()));
  }
  Dataset dataset;
  dataset.columns_ = std::make_shared<const Columns>(Columns{std::move(model_input), std::move(model_output)});
  dataset.name_ = kInMemoryName;
  return dataset;
}

Dataset Dataset::from_file(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    throw InputError(fmt::format("{}: no such dataset file; check the path (it is relative to the working folder {})",
                                 path.string(), std::filesystem::current_path(error).string()));
  }
  if (std::filesystem::is_directory(status)) {
    throw InputError(
        fmt::format("{}: expected a dataset file, found a folder; give a .jsonl, .json or .csv file", path.string()));
  }
  file_kind(path);
  Dataset dataset;
  dataset.path_ = path;
  dataset.name_ = path.string();
  return dataset;
}

std::unique_ptr<RowReader> Dataset::open() const {
  if (!path_) return std::make_unique<ColumnsReader>(columns_, columns_->model_input, columns_->model_output);
  return file_kind(*path_) == FileKind::csv ? open_csv(*path_) : open_json_lines(*path_);
}

const std::string& Dataset::name() const { return name_; }

const std::optional<std::filesystem::path>& Dataset::path() const { return path_; }

}  // namespace lockstep
