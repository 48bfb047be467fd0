#include "arrow_reader.h"

#include <arrow/array.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>
#include <fmt/format.h>
#include <cstdint>
#include <utility>

#include "arrow_cell.h"
#include "record_batches.h"
#include "text_source.h"

namespace lockstep {
namespace {

// The column as one of bytes where it holds strings: then Arrow's checks leave UTF-8 alone.
arrow::Result<std::shared_ptr<arrow::Array>> as_bytes(const std::shared_ptr<arrow::Array>& column) {
  switch (column->type_id()) {
    case arrow::Type::STRING:
      return column->View(arrow::binary());
    case arrow::Type::LARGE_STRING:
      return column->View(arrow::large_binary());
    case arrow::Type::STRING_VIEW:
      return column->View(arrow::binary_view());
    default:
      return column;
  }
}

class ArrowReader final : public CellReader {
 public:
  ArrowReader(const std::filesystem::path& path, const std::vector<Column>& columns, RecordBatches batches)
      : name_(path.string()), columns_(columns), batches_(std::move(batches)) {}

  bool next(Cells& cells) override {
    while (batch_ == nullptr || row_in_batch_ == batch_->num_rows()) {
      if (!next_batch()) return false;
    }
    ++rows_read_;
    cells.resize(columns_.size());
    for (std::size_t i = 0; i < columns_.size(); ++i) cells[i] = cell(i);
    ++row_in_batch_;
    return true;
  }

  std::string position() const override { return fmt::format("{}: row {}", name_, rows_read_); }
  double progress() const override { return batches_.progress(rows_read_); }

 private:
  bool next_batch() {
    check(batches_.reader->ReadNext(&batch_));
    if (batch_ == nullptr) return false;
    row_in_batch_ = 0;
    arrays_.clear();
    for (const auto& column : columns_) {
      arrays_.push_back(batch_->GetColumnByName(column.name));
      if (arrays_.back() != nullptr) check_offsets(arrays_.back());
    }
    return true;
  }

  // A damaged file must not lead a reader out of its buffers. Whether texts are UTF-8 is checked cell by cell, so that
  // the row can be named.
  void check_offsets(const std::shared_ptr<arrow::Array>& column) const {
    const auto bytes = as_bytes(column);
    check(bytes.status());
    check((*bytes)->ValidateFull());
  }

  void check(const arrow::Status& status) const {
    if (status.ok()) return;
    throw_read_error(fmt::format("{}: behind row {}", name_, rows_read_), status,
                     "the file is damaged: write it again");
  }

  std::optional<std::string> cell(std::size_t index) const {
    const Column& column = columns_[index];
    const auto& array = arrays_[index];
    if (array == nullptr) return std::nullopt;  // optional: open_*_batches has checked the others
    if (is_null(*array, row_in_batch_)) {
      if (column.optional) return std::nullopt;
      throw_problem(position(), not_text(column, "null"));
    }
    std::string text = cell_text(*array, row_in_batch_);
    if (arrow::is_floating(array->type_id()) && (text.ends_with("nan") || text.ends_with("inf"))) {
      throw_problem(position(), not_text(column, text));
    }
    if (const auto problem = not_utf8(text, column)) throw_problem(position(), *problem);
    return text;
  }

  std::string name_;
  std::vector<Column> columns_;
  RecordBatches batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::vector<std::shared_ptr<arrow::Array>> arrays_;  // the batch's columns; null for a missing one
  std::int64_t row_in_batch_ = 0;
  std::uint64_t rows_read_ = 0;
};

}  // namespace

std::unique_ptr<CellReader> open_arrow(const std::filesystem::path& path, const std::vector<Column>& columns) {
  return std::make_unique<ArrowReader>(path, columns, open_ipc_batches(path, columns));
}

std::unique_ptr<CellReader> open_parquet(const std::filesystem::path& path, const std::vector<Column>& columns) {
  return std::make_unique<ArrowReader>(path, columns, open_parquet_batches(path, columns));
}

}  // namespace lockstep
