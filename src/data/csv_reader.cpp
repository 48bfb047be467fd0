#include "csv_reader.h"

#include <arrow/array.h>
#include <arrow/csv/api.h>
#include <arrow/io/file.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>
#include <fmt/format.h>
#include <algorithm>
#include <charconv>
#include <fstream>
#include <string_view>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/utf8.h"

namespace lockstep {
namespace {

// A row must fit into a block; memory holds a few of them.
constexpr std::int32_t kBlockBytes = 4 << 20;
const std::vector<std::string> kColumns{"model_input", "model_output"};

using StreamingReader = arrow::csv::StreamingReader;

arrow::csv::ReadOptions read_options() {
  auto options = arrow::csv::ReadOptions::Defaults();
  options.use_threads = false;  // constant memory, and row numbers in Arrow's messages
  options.block_size = kBlockBytes;
  return options;
}

arrow::csv::ParseOptions parse_options() {
  auto options = arrow::csv::ParseOptions::Defaults();
  options.newlines_in_values = true;
  return options;
}

// Arrow's message in this project's words: it counts the header as row 1.
std::string describe(const std::string& message) {
  if (message.find("straddling") != std::string::npos) {
    return fmt::format("found a row of more than {} MB, perhaps a quote that is never closed", kBlockBytes >> 20);
  }
  constexpr std::string_view kRow = "Row #";
  const auto start = message.find(kRow);
  if (start == std::string::npos) return message;
  std::uint64_t row = 0;
  const char* digits = message.data() + start + kRow.size();
  const auto [end, error] = std::from_chars(digits, message.data() + message.size(), row);
  if (error != std::errc() || row < 2) return message;
  return fmt::format("row {} (the header not counted){}", row - 1, std::string_view(end));
}

class CsvReader final : public RowReader {
 public:
  explicit CsvReader(const std::filesystem::path& path) : path_(path) {
    std::error_code error;
    bytes_ = std::filesystem::file_size(path, error);
    if (error) bytes_ = 0;
    if (bytes_ == 0 && !error) {
      throw InputError(
          fmt::format("{}: expected a header row with model_input and model_output, found an empty file; "
                      "give a CSV file with rows",
                      path_.string()));
    }
    check_encoding();
    check_header();
    auto convert = arrow::csv::ConvertOptions::Defaults();
    convert.include_columns = kColumns;
    convert.column_types = {{kColumns[0], arrow::binary()}, {kColumns[1], arrow::binary()}};
    convert.null_values = {""};
    convert.strings_can_be_null = true;
    convert.quoted_strings_can_be_null = false;
    reader_ = open(convert);
  }

  std::optional<Row> next() override {
    while (batch_ == nullptr || row_in_batch_ == batch_->num_rows()) {
      const auto status = reader_->ReadNext(&batch_);
      if (!status.ok()) fail(status);
      if (batch_ == nullptr) return std::nullopt;
      row_in_batch_ = 0;
    }
    ++rows_read_;
    Row row{cell(0), cell(1)};
    ++row_in_batch_;
    return row;
  }

  std::string position() const override {
    return fmt::format("{}: row {} (the header not counted)", path_.string(), rows_read_);
  }

  double progress() const override {
    return bytes_ == 0 ? 0 : std::min(1.0, static_cast<double>(reader_->bytes_read()) / static_cast<double>(bytes_));
  }

 private:
  std::shared_ptr<StreamingReader> open(const arrow::csv::ConvertOptions& convert) const {
    auto file = arrow::io::ReadableFile::Open(path_.string());
    if (!file.ok()) fail(file.status());
    auto reader =
        StreamingReader::Make(arrow::io::default_io_context(), *file, read_options(), parse_options(), convert);
    if (!reader.ok()) fail(reader.status());
    return *reader;
  }

  // Arrow would take UTF-16 for one broken line.
  void check_encoding() const {
    std::array<char, 2> mark{};
    std::ifstream(path_, std::ios::binary).read(mark.data(), mark.size());
    const std::string_view start(mark.data(), mark.size());
    if (start != "\xFF\xFE" && start != "\xFE\xFF") return;
    throw InputError(
        fmt::format("{}: expected UTF-8, found UTF-16; convert the file (e.g. with iconv)", path_.string()));
  }

  void check_header() const {
    auto convert = arrow::csv::ConvertOptions::Defaults();
    convert.check_utf8 = false;
    const auto names = open(convert)->schema()->field_names();
    for (const auto& column : kColumns) {
      const auto count = std::ranges::count(names, column);
      if (count == 1) continue;
      throw InputError(
          fmt::format("{}: expected one column \"{}\" in the header row, found {}\"{}\"; name the columns "
                      "model_input and model_output",
                      path_.string(), column, count > 1 ? "it twice: " : "", fmt::join(names, "\", \"")));
    }
  }

  std::string cell(int column) const {
    const auto& array = static_cast<const arrow::BinaryArray&>(*batch_->column(column));
    if (array.IsNull(row_in_batch_)) {
      throw InputError(
          fmt::format("{}: expected text in \"{}\", found nothing; fill the cell, write \"\" for empty "
                      "text, or remove the row",
                      position(), kColumns[static_cast<std::size_t>(column)]));
    }
    const auto text = array.GetView(row_in_batch_);
    if (const auto offset = find_invalid_utf8(text)) {
      throw InputError(
          fmt::format("{}: expected UTF-8 in \"{}\", found byte 0x{:02x} at byte {} of the cell; convert "
                      "the file to UTF-8 (e.g. with iconv), or remove the row",
                      position(), kColumns[static_cast<std::size_t>(column)], static_cast<unsigned char>(text[*offset]),
                      *offset + 1));
    }
    return std::string(text);
  }

  [[noreturn]] void fail(const arrow::Status& status) const {
    if (status.IsIOError()) throw Error(fmt::format("{}: {}", path_.string(), status.message()));
    throw InputError(fmt::format("{}: {}; quote cells with commas, quotes or newlines, and double the quotes in them",
                                 path_.string(), describe(status.message())));
  }

  std::filesystem::path path_;
  std::uintmax_t bytes_ = 0;
  std::shared_ptr<StreamingReader> reader_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::int64_t row_in_batch_ = 0;
  std::uint64_t rows_read_ = 0;
};

}  // namespace

std::unique_ptr<RowReader> open_csv(const std::filesystem::path& path) { return std::make_unique<CsvReader>(path); }

}  // namespace lockstep
