#pragma once

#include <arrow/io/interfaces.h>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "data/readers/csv_dialect.h"

namespace lockstep::data {

/// Finds quotes that Arrow would read without an error, although rows or cells would run into each other: text after a
/// closing quote, and a quote that is never closed. The rules are those of Python's csv with strict=True.
class CsvQuotes {
 public:
  /// Rows must not be longer than `max_row_bytes`, or Arrow could not read them.
  CsvQuotes(CsvDialect dialect, std::uint64_t max_row_bytes);

  /// Examines the next part of the file. Returns a problem with its row and line, e.g. "row 3 (the header not counted),
  /// line 5: expected ..., found ...; REMEDY", or nullopt.
  std::optional<std::string> examine(std::string_view text);
  /// Examines the end of the file.
  std::optional<std::string> examine_end() const;

 private:
  enum class Place { kCellStart, kPlain, kQuoted, kClosed };

  void start_row();
  std::string position(std::uint64_t line) const;
  std::string text_after_quote(char c) const;
  std::string long_row() const;

  CsvDialect dialect_;
  std::uint64_t max_row_bytes_;
  Place place_ = Place::kCellStart;
  bool row_is_empty_ = true;
  bool after_return_ = false;      // the last character was a carriage return
  std::uint64_t rows_before_ = 0;  // with the header, without empty lines
  std::uint64_t row_bytes_ = 0;
  std::uint64_t line_ = 1;
  std::uint64_t row_line_ = 1;    // where the row starts
  std::uint64_t quote_line_ = 1;  // where the last quote opened
  std::size_t mark_bytes_ = 0;    // of the byte order mark, at the start of the file
};

/// A source whose text passes through CsvQuotes on its way to Arrow's parser.
class CheckedCsv final : public arrow::io::InputStream {
 public:
  CheckedCsv(std::shared_ptr<arrow::io::InputStream> source, const CsvQuotes& quotes)
      : source_(std::move(source)), quotes_(quotes) {}

  arrow::Status Close() override;
  bool closed() const override;
  arrow::Result<std::int64_t> Tell() const override;
  arrow::Result<std::int64_t> Read(std::int64_t bytes, void* out) override;
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(std::int64_t bytes) override;

  /// Reads to the end. Returns the first problem that is found there, or null.
  std::optional<std::string> find_problem_in_rest();
  /// Returns the problem that made a read fail with `status`, or null if it failed for another reason.
  static const std::string* problem_of(const arrow::Status& status);

 private:
  arrow::Status check(std::string_view text);

  std::shared_ptr<arrow::io::InputStream> source_;
  CsvQuotes quotes_;
};

}  // namespace lockstep::data
