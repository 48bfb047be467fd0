#include "data/readers/csv_reader.h"

#include <arrow/array.h>
#include <arrow/csv/api.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>
#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <vector>

#include "data/readers/csv_quotes.h"
#include "data/readers/record_batches.h"
#include "data/readers/text_source.h"
#include "lockstep/core/error.h"

namespace lockstep::data {
namespace {

// A row must fit into a block; a few blocks are in memory at a time.
constexpr std::int32_t kCsvBlockBytes = 4 << 20;

// Part of Arrow's message if it finds no line that ends.
constexpr std::string_view kNoHeader = "cannot infer number of columns";

using StreamingReader = arrow::csv::StreamingReader;

arrow::csv::ReadOptions read_options() {
  auto options = arrow::csv::ReadOptions::Defaults();
  options.use_threads = false;  // constant memory, and row numbers in Arrow's messages
  options.block_size = kCsvBlockBytes;
  return options;
}

// Rewrites Arrow's message: Arrow counts the header as row 1.
std::string describe(const std::string& message) {
  constexpr std::string_view kRow = "Row #";
  const auto start = message.find(kRow);
  if (start == std::string::npos) return message;
  std::uint64_t row = 0;
  const char* digits = message.data() + start + kRow.size();
  const auto [end, error] = std::from_chars(digits, message.data() + message.size(), row);
  if (error != std::errc() || row < 2) return message;
  return fmt::format("row {} (the header not counted){}", row - 1, std::string_view(end));
}

// A range of a file's rows, starting at row `first_row` (from 1).
class CsvBlock final : public CellReader {
 public:
  CsvBlock(std::string name, const std::vector<Column>& columns, std::shared_ptr<arrow::RecordBatch> batch,
           std::uint64_t first_row)
      : name_(std::move(name)), columns_(columns), batch_(std::move(batch)), first_row_(first_row) {}

  bool next(Cells& cells) override {
    if (rows_read_ == batch_->num_rows()) return false;
    ++rows_read_;
    cells.resize(columns_.size());
    for (std::size_t i = 0; i < columns_.size(); ++i) cells[i] = cell(i);
    return true;
  }

  std::string position() const override {
    return fmt::format("{}: row {} (the header not counted)", name_,
                       first_row_ + static_cast<std::uint64_t>(rows_read_) - 1);
  }

 private:
  std::optional<std::string> cell(std::size_t index) const {
    const auto& array = static_cast<const arrow::BinaryArray&>(*batch_->column(static_cast<int>(index)));
    if (array.IsNull(rows_read_ - 1)) {
      if (columns_[index].optional) return std::nullopt;
      throw_problem(position(), not_text(columns_[index], "nothing"));
    }
    const auto text = array.GetView(rows_read_ - 1);
    if (const auto problem = not_utf8(text, columns_[index])) throw_problem(position(), *problem);
    return std::string(text);
  }

  std::string name_;
  std::vector<Column> columns_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::uint64_t first_row_;
  std::int64_t rows_read_ = 0;
};

class CsvBlocks final : public CellBlocks {
 public:
  CsvBlocks(const std::filesystem::path& path, const std::vector<Column>& columns, const CsvDialect& dialect)
      : path_(path), columns_(columns), dialect_(dialect) {
    check_start();
    auto convert = arrow::csv::ConvertOptions::Defaults();
    convert.check_utf8 = false;
    const auto header = open(convert)->schema()->field_names();
    check_header(path_.string(), columns_, header);
    for (const auto& column : columns_) {
      convert.include_columns.push_back(column.name);
      convert.column_types[column.name] = arrow::binary();
    }
    convert.include_missing_columns = true;  // missing optional columns, as nulls
    convert.null_values = {""};
    convert.strings_can_be_null = true;
    convert.quoted_strings_can_be_null = false;
    reader_ = open(convert);
  }

  std::unique_ptr<CellReader> next() override {
    while (batch_ == nullptr || batch_->num_rows() == 0) {
      const auto status = reader_->ReadNext(&batch_);
      if (!status.ok()) fail(status);
      if (batch_ == nullptr) return nullptr;
    }
    const std::int64_t rows = std::min(rows_per_block(batch_->columns()), batch_->num_rows());
    const std::uint64_t first_row = rows_read_ + 1;
    rows_read_ += static_cast<std::uint64_t>(rows);
    auto block = std::make_unique<CsvBlock>(path_.string(), columns_, batch_->Slice(0, rows), first_row);
    batch_ = batch_->Slice(rows);
    return block;
  }

  double progress() const override { return source_->progress(); }

 private:
  // Opens the file at its start.
  std::shared_ptr<StreamingReader> open(const arrow::csv::ConvertOptions& convert) {
    source_.emplace(path_);
    auto parse = arrow::csv::ParseOptions::Defaults();
    parse.delimiter = dialect_.delimiter.value_or(',');
    parse.quoting = dialect_.quote.has_value();
    parse.quote_char = dialect_.quote.value_or('"');
    parse.newlines_in_values = parse.quoting;
    const auto checked = std::make_shared<CheckedCsv>(source_->stream(), CsvQuotes(dialect_, kCsvBlockBytes));
    auto reader = StreamingReader::Make(arrow::io::default_io_context(), checked, read_options(), parse, convert);
    if (reader.ok()) return *reader;
    if (reader.status().message().find(kNoHeader) != std::string::npos) {  // perhaps a quote in it is never closed
      if (const auto problem = checked->find_problem_in_rest()) {
        throw InputError(fmt::format("{}: {}", path_.string(), *problem));
      }
    }
    fail(reader.status());
  }

  // Checks for UTF-16, which Arrow would report as one malformed line, and for an empty file.
  void check_start() const {
    std::array<char, 2> mark{};
    const std::size_t count = TextSource(path_).read(mark.data(), mark.size());
    if (count == 0) {
      throw_problem(path_.string(),
                    {"a header row with the columns' names", "an empty file", "give a CSV file with rows"});
    }
    const std::string_view start(mark.data(), count);
    if (start != "\xFF\xFE" && start != "\xFE\xFF") return;
    throw_problem(path_.string(), {"UTF-8", "UTF-16", "convert the file (e.g. with iconv)"});
  }

  [[noreturn]] void fail(const arrow::Status& status) const {
    if (const std::string* problem = CheckedCsv::problem_of(status)) {
      throw InputError(fmt::format("{}: {}", path_.string(), *problem));
    }
    if (!status.IsInvalid())
      throw_read_error(path_.string(), status, "the file is damaged or truncated; create it again");
    throw InputError(
        fmt::format("{}: {}; quote cells with delimiters, quotes or newlines, and double the quotes in them",
                    path_.string(), describe(status.message())));
  }

  std::filesystem::path path_;
  std::vector<Column> columns_;
  CsvDialect dialect_;
  std::optional<TextSource> source_;
  std::shared_ptr<StreamingReader> reader_;
  std::shared_ptr<arrow::RecordBatch> batch_;  // the part of it that is not returned yet
  std::uint64_t rows_read_ = 0;
};

}  // namespace

std::unique_ptr<CellBlocks> open_csv(const std::filesystem::path& path, const std::vector<Column>& columns,
                                     CsvDialect dialect, char delimiter) {
  if (!dialect.delimiter) dialect.delimiter = delimiter;
  return std::make_unique<CsvBlocks>(path, columns, dialect);
}

}  // namespace lockstep::data
