#include "data/readers/row_blocks.h"

#include <fmt/format.h>
#include <algorithm>
#include <optional>
#include <utility>

#include "data/readers/file_reader.h"
#include "lockstep/core/error.h"
#include "lockstep/core/utf8.h"

namespace lockstep::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kRowBytes = sizeof(Row);  // without its texts

// The rows from `begin` up to `end` of columns in memory.
class ColumnsBlock final : public RowReader {
 public:
  ColumnsBlock(std::shared_ptr<const RowColumns> columns, std::size_t begin, std::size_t end)
      : columns_(std::move(columns)), rows_read_(begin), end_(end) {}

  std::optional<Row> next() override {
    if (rows_read_ == end_) return std::nullopt;
    const std::size_t index = rows_read_++;
    check(columns_->model_input[index], "model_input");
    check(columns_->model_output[index], "model_output");
    return Row{columns_->model_input[index], columns_->model_output[index]};
  }
  std::string position() const override { return fmt::format("{}: row {}", kInMemoryDataset, rows_read_); }

 private:
  void check(const std::string& cell, std::string_view column) const {
    if (const auto offset = core::find_invalid_utf8(cell)) {
      throw InputError(fmt::format("{}: {}: expected UTF-8, found byte 0x{:02x} at byte {}; convert the text to UTF-8",
                                   position(), column, static_cast<unsigned char>(cell[*offset]), *offset + 1));
    }
  }

  std::shared_ptr<const RowColumns> columns_;
  std::size_t rows_read_;
  std::size_t end_;
};

class ColumnsBlocks final : public RowBlocks {
 public:
  explicit ColumnsBlocks(std::shared_ptr<const RowColumns> columns) : columns_(std::move(columns)) {}

  std::unique_ptr<RowReader> next() override {
    const std::size_t begin = rows_given_;
    if (begin == rows()) return nullptr;
    std::size_t bytes = 0;
    while (rows_given_ < rows() && bytes < kBlockBytes) {
      bytes += kRowBytes + columns_->model_input[rows_given_].size() + columns_->model_output[rows_given_].size();
      ++rows_given_;
    }
    return std::make_unique<ColumnsBlock>(columns_, begin, rows_given_);
  }
  double progress() const override {
    return rows() == 0 ? 1 : static_cast<double>(rows_given_) / static_cast<double>(rows());
  }

 private:
  std::size_t rows() const { return columns_->model_input.size(); }

  std::shared_ptr<const RowColumns> columns_;
  std::size_t rows_given_ = 0;
};

// Fills in the templates with the cells of each row.
class TemplatesBlock final : public RowReader {
 public:
  TemplatesBlock(std::shared_ptr<const RowTemplates> templates, std::unique_ptr<CellReader> cells_reader)
      : templates_(std::move(templates)), cells_reader_(std::move(cells_reader)) {}

  std::optional<Row> next() override {
    if (!cells_reader_->next(cells_)) return std::nullopt;
    return templates_->fill(cells_);
  }
  std::string position() const override { return cells_reader_->position(); }

 private:
  std::shared_ptr<const RowTemplates> templates_;
  std::unique_ptr<CellReader> cells_reader_;
  Cells cells_;
};

class TemplatesBlocks final : public RowBlocks {
 public:
  TemplatesBlocks(const std::vector<fs::path>& files, RowTemplates templates, const CsvDialect& dialect)
      : templates_(std::make_shared<const RowTemplates>(std::move(templates))),
        cell_blocks_(open_cells(files, templates_->columns(), dialect)) {}

  std::unique_ptr<RowReader> next() override {
    auto cells_reader = cell_blocks_->next();
    if (cells_reader == nullptr) return nullptr;
    return std::make_unique<TemplatesBlock>(templates_, std::move(cells_reader));
  }
  double progress() const override { return cell_blocks_->progress(); }

 private:
  std::shared_ptr<const RowTemplates> templates_;
  std::unique_ptr<CellBlocks> cell_blocks_;
};

// Reads all blocks, one after another.
class WholeReader final : public RowReader {
 public:
  explicit WholeReader(std::unique_ptr<RowBlocks> blocks) : blocks_(std::move(blocks)) {}

  std::optional<Row> next() override {
    for (;;) {
      if (block_ != nullptr) {
        if (auto row = block_->next()) return row;
      }
      auto following = blocks_->next();
      if (following == nullptr) return std::nullopt;  // keep the last block, which knows the position
      block_ = std::move(following);
    }
  }
  std::string position() const override { return block_->position(); }

 private:
  std::unique_ptr<RowBlocks> blocks_;
  std::unique_ptr<RowReader> block_;
};

}  // namespace

std::unique_ptr<RowBlocks> open_columns(std::shared_ptr<const RowColumns> columns) {
  return std::make_unique<ColumnsBlocks>(std::move(columns));
}

std::unique_ptr<RowBlocks> open_files(const std::vector<fs::path>& files, RowTemplates templates,
                                      const CsvDialect& dialect) {
  return std::make_unique<TemplatesBlocks>(files, std::move(templates), dialect);
}

std::unique_ptr<RowReader> read_blocks(std::unique_ptr<RowBlocks> blocks) {
  return std::make_unique<WholeReader>(std::move(blocks));
}

}  // namespace lockstep::data
