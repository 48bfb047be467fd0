#include "data/readers/arrow_reader.h"

#include <arrow/array.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>
#include <fmt/format.h>
#include <algorithm>
#include <cstdint>
#include <utility>

#include "data/readers/arrow_cell.h"
#include "data/readers/record_batches.h"
#include "data/readers/text_source.h"

namespace lockstep::data {
namespace {

// Returns a string column as a binary column, so that Arrow's validation does not check UTF-8.
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

// A range of a file's rows, starting at row `first_row` (from 1).
class ArrowBlock final : public CellReader {
 public:
  ArrowBlock(std::string name, const std::vector<Column>& columns, std::vector<std::shared_ptr<arrow::Array>> arrays,
             std::int64_t rows, std::uint64_t first_row)
      : name_(std::move(name)), columns_(columns), arrays_(std::move(arrays)), rows_(rows), first_row_(first_row) {}

  bool next(Cells& cells) override {
    if (rows_read_ == rows_) return false;
    ++rows_read_;
    cells.resize(columns_.size());
    for (std::size_t i = 0; i < columns_.size(); ++i) cells[i] = cell(i);
    return true;
  }

  std::string position() const override {
    return fmt::format("{}: row {}", name_, first_row_ + static_cast<std::uint64_t>(rows_read_) - 1);
  }

 private:
  std::optional<std::string> cell(std::size_t index) const {
    const Column& column = columns_[index];
    const auto& array = arrays_[index];
    if (array == nullptr) return std::nullopt;  // an optional column; open_*_batches() has checked the others
    const std::int64_t row = rows_read_ - 1;
    if (is_null(*array, row)) {
      if (column.optional) return std::nullopt;
      throw_problem(position(), not_text(column, "null"));
    }
    std::string text = cell_text(*array, row);
    if (arrow::is_floating(array->type_id()) && (text.ends_with("nan") || text.ends_with("inf"))) {
      throw_problem(position(), not_text(column, text));
    }
    if (const auto problem = not_utf8(text, column)) throw_problem(position(), *problem);
    return text;
  }

  std::string name_;
  std::vector<Column> columns_;
  std::vector<std::shared_ptr<arrow::Array>> arrays_;  // one per column; null if missing
  std::int64_t rows_;
  std::uint64_t first_row_;
  std::int64_t rows_read_ = 0;
};

class ArrowBlocks final : public CellBlocks {
 public:
  ArrowBlocks(const std::filesystem::path& path, const std::vector<Column>& columns, RecordBatches batches)
      : name_(path.string()), columns_(columns), batches_(std::move(batches)) {}

  std::unique_ptr<CellReader> next() override {
    while (batch_ == nullptr || rows_taken_ == batch_->num_rows()) {
      if (!next_batch()) return nullptr;
    }
    const std::int64_t rows = std::min(rows_per_block(arrays_), batch_->num_rows() - rows_taken_);
    std::vector<std::shared_ptr<arrow::Array>> arrays;
    for (const auto& array : arrays_) arrays.push_back(array == nullptr ? nullptr : array->Slice(rows_taken_, rows));
    rows_taken_ += rows;
    const std::uint64_t first_row = rows_read_ + 1;
    rows_read_ += static_cast<std::uint64_t>(rows);
    return std::make_unique<ArrowBlock>(name_, columns_, std::move(arrays), rows, first_row);
  }

  double progress() const override { return batches_.progress(rows_read_); }

 private:
  bool next_batch() {
    check(batches_.reader->ReadNext(&batch_));
    if (batch_ == nullptr) return false;
    rows_taken_ = 0;
    arrays_.clear();
    for (const auto& column : columns_) {
      arrays_.push_back(batch_->GetColumnByName(column.name));
      if (arrays_.back() != nullptr) check_offsets(arrays_.back());
    }
    return true;
  }

  // A damaged file must not make the reader leave its buffers. UTF-8 is checked cell by cell instead, so that the
  // message can name the row.
  void check_offsets(const std::shared_ptr<arrow::Array>& column) const {
    const auto bytes = as_bytes(column);
    check(bytes.status());
    check((*bytes)->ValidateFull());
  }

  void check(const arrow::Status& status) const {
    if (status.ok()) return;
    throw_read_error(fmt::format("{}: after row {}", name_, rows_read_), status, "the file is damaged: write it again");
  }

  std::string name_;
  std::vector<Column> columns_;
  RecordBatches batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::vector<std::shared_ptr<arrow::Array>> arrays_;  // one per column; null if missing
  std::int64_t rows_taken_ = 0;                        // rows of batch_ already returned
  std::uint64_t rows_read_ = 0;
};

}  // namespace

std::unique_ptr<CellBlocks> open_arrow(const std::filesystem::path& path, const std::vector<Column>& columns) {
  return std::make_unique<ArrowBlocks>(path, columns, open_ipc_batches(path, columns));
}

std::unique_ptr<CellBlocks> open_parquet(const std::filesystem::path& path, const std::vector<Column>& columns) {
  return std::make_unique<ArrowBlocks>(path, columns, open_parquet_batches(path, columns));
}

}  // namespace lockstep::data
