#include "data/readers/csv_quotes.h"

#include <arrow/buffer.h>
#include <arrow/result.h>
#include <arrow/status.h>
#include <fmt/format.h>
#include <utility>

namespace lockstep::data {
namespace {

constexpr std::string_view kMark = "\xEF\xBB\xBF";
constexpr std::int64_t kRestBytes = 1 << 20;
constexpr const char* kDetailType = "lockstep::data::CsvQuotes";

class QuoteProblem final : public arrow::StatusDetail {
 public:
  explicit QuoteProblem(std::string text) : text_(std::move(text)) {}
  const char* type_id() const override { return kDetailType; }
  std::string ToString() const override { return text_; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace

CsvQuotes::CsvQuotes(CsvDialect dialect, std::uint64_t max_row_bytes)
    : dialect_(dialect), max_row_bytes_(max_row_bytes) {}

std::optional<std::string> CsvQuotes::examine(std::string_view text) {
  for (const char c : text) {
    if (mark_bytes_ < kMark.size() && c == kMark[mark_bytes_]) {
      ++mark_bytes_;
      continue;
    }
    mark_bytes_ = kMark.size();
    if (after_return_ && c == '\n') {  // the second half of a line's end
      after_return_ = false;
      continue;
    }
    after_return_ = c == '\r';
    const bool ends_line = c == '\n' || c == '\r';
    if (++row_bytes_ > max_row_bytes_) return long_row();
    if (place_ == Place::kQuoted) {
      if (c == dialect_.quote) place_ = Place::kClosed;
      if (ends_line) ++line_;
    } else if (ends_line) {
      ++line_;
      start_row();
    } else if (c == dialect_.delimiter) {
      place_ = Place::kCellStart;
      row_is_empty_ = false;
    } else if (place_ == Place::kClosed) {
      if (c != dialect_.quote) return text_after_quote(c);
      place_ = Place::kQuoted;  // two quotes stand for one
    } else if (place_ == Place::kCellStart) {
      place_ = c == dialect_.quote ? Place::kQuoted : Place::kPlain;
      if (c == dialect_.quote) quote_line_ = line_;
      row_is_empty_ = false;
    }
  }
  return std::nullopt;
}

std::optional<std::string> CsvQuotes::examine_end() const {
  if (place_ != Place::kQuoted) return std::nullopt;
  return fmt::format("{}: expected a closing quote, found the end of the file; the quote opened on line {}: close it",
                     position(row_line_), quote_line_);
}

void CsvQuotes::start_row() {
  if (!row_is_empty_) ++rows_before_;
  row_is_empty_ = true;
  row_bytes_ = 0;
  row_line_ = line_;
  place_ = Place::kCellStart;
}

std::string CsvQuotes::position(std::uint64_t line) const {
  if (rows_before_ == 0) return fmt::format("header, line {}", line);
  return fmt::format("row {} (the header not counted), line {}", rows_before_, line);
}

std::string CsvQuotes::text_after_quote(char c) const {
  return fmt::format(
      "{}: expected a delimiter or the line's end after a closing quote, found the byte {}; the quote opened on line "
      "{}: double the quotes in quoted cells, or set csv_quote: none if quotes are text",
      position(line_),
      static_cast<unsigned char>(c) < 0x80 && c >= ' ' ? fmt::format("'{}'", c)
                                                       : fmt::format("0x{:02x}", static_cast<unsigned char>(c)),
      quote_line_);
}

std::string CsvQuotes::long_row() const {
  const std::string row =
      fmt::format("{}: expected a row of at most {} MB, found a longer one", position(row_line_), max_row_bytes_ >> 20);
  if (place_ != Place::kQuoted) return row + "; split the row, or write the file as JSON Lines or Parquet";
  return fmt::format(
      "{}, in which the quote that opened on line {} is still open, perhaps never closed; close it, or "
      "write the file as JSON Lines or Parquet",
      row, quote_line_);
}

arrow::Status CheckedCsv::Close() { return source_->Close(); }
bool CheckedCsv::closed() const { return source_->closed(); }
arrow::Result<std::int64_t> CheckedCsv::Tell() const { return source_->Tell(); }

arrow::Result<std::int64_t> CheckedCsv::Read(std::int64_t bytes, void* out) {
  ARROW_ASSIGN_OR_RAISE(const auto count, source_->Read(bytes, out));
  ARROW_RETURN_NOT_OK(check({static_cast<const char*>(out), static_cast<std::size_t>(count)}));
  return count;
}

arrow::Result<std::shared_ptr<arrow::Buffer>> CheckedCsv::Read(std::int64_t bytes) {
  ARROW_ASSIGN_OR_RAISE(auto buffer, source_->Read(bytes));
  ARROW_RETURN_NOT_OK(check({reinterpret_cast<const char*>(buffer->data()), static_cast<std::size_t>(buffer->size())}));
  return buffer;
}

std::optional<std::string> CheckedCsv::find_problem_in_rest() {
  for (;;) {
    const auto buffer = Read(kRestBytes);
    if (!buffer.ok()) {
      const std::string* problem = problem_of(buffer.status());
      return problem == nullptr ? std::nullopt : std::optional(*problem);
    }
    if ((*buffer)->size() == 0) return std::nullopt;
  }
}

const std::string* CheckedCsv::problem_of(const arrow::Status& status) {
  const auto& detail = status.detail();
  if (detail == nullptr || std::string_view(detail->type_id()) != kDetailType) return nullptr;
  return &static_cast<const QuoteProblem&>(*detail).text();
}

arrow::Status CheckedCsv::check(std::string_view text) {
  auto problem = text.empty() ? quotes_.examine_end() : quotes_.examine(text);
  if (!problem) return arrow::Status::OK();
  auto detail = std::make_shared<QuoteProblem>(std::move(*problem));
  return arrow::Status(arrow::StatusCode::Invalid, "unreadable quotes", std::move(detail));
}

}  // namespace lockstep::data
