#include "json_lines_reader.h"

#include <fmt/format.h>
#include <array>
#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/utf8.h"

namespace lockstep {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::size_t kBufferBytes = 1 << 20;

// The end of what was read when parsing failed.
std::string_view last_characters(std::string_view text) {
  constexpr std::size_t kShown = 40;
  if (text.size() > kShown) text.remove_prefix(text.size() - kShown);
  while (!text.empty() && (static_cast<unsigned char>(text.front()) & 0xC0) == 0x80) text.remove_prefix(1);
  return find_invalid_utf8(text) ? "" : text;
}

// Takes the two columns out of one JSON object without building a tree. Other columns may hold anything.
class RowParser final : public nlohmann::json_sax<nlohmann::json> {
 public:
  struct Problem {
    std::string expected, found, remedy;
  };

  // Returns what is wrong with the line, if anything is.
  std::optional<Problem> parse(std::string_view line, Row& row) {
    cells_ = {&row.model_input, &row.model_output};
    seen_ = {false, false};
    depth_ = 0;
    cell_ = kOther;
    other_columns_.clear();
    problem_.reset();
    nlohmann::json::sax_parse(line.begin(), line.end(), this);
    for (std::size_t i = 0; !problem_ && i < kColumns.size(); ++i) {
      if (!seen_[i]) {
        problem_ = {fmt::format("a column \"{}\"", kColumns[i]), describe_columns(),
                    "give each row \"model_input\" and \"model_output\""};
      }
    }
    return problem_;
  }

  bool null() override { return value("null", "null", false); }
  bool boolean(bool val) override { return value(val ? "true" : "false", "a boolean", true); }
  bool number_unsigned(std::uint64_t val) override { return value(fmt::to_string(val), "a number", true); }
  bool number_float(double, const std::string& text) override { return value(text, "a number", true); }
  bool string(std::string& val) override { return value(std::move(val), "a string", true); }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool number_integer(std::int64_t val) override {
    return value(val == 0 ? "-0" : fmt::to_string(val), "a number", true);  // zero comes here only as "-0"
  }

  bool start_object(std::size_t) override {
    if (depth_ == 0) {
      ++depth_;
      return true;
    }
    return enter("an object");
  }
  bool start_array(std::size_t) override { return enter("an array"); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }

  bool key(std::string& name) override {
    if (depth_ != 1) return true;
    cell_ = name == kColumns[0] ? 0 : name == kColumns[1] ? 1 : kOther;
    if (cell_ == kOther) {
      if (other_columns_.size() < 8) other_columns_.push_back(name);
      return true;
    }
    if (!seen_[cell_]) return true;
    return fail({fmt::format("one \"{}\"", name), "two of them", "keep one"});
  }

  bool parse_error(std::size_t position, const std::string& last_token,
                   const nlohmann::json::exception& error) override {
    if (problem_) return false;
    std::string reason = error.what();
    if (const auto start = reason.find("syntax error"); start != std::string::npos) reason = reason.substr(start);
    if (const auto tail = reason.find("; last read"); tail != std::string::npos) reason.resize(tail);
    return fail({"a JSON object",
                 fmt::format("malformed JSON at byte {} of the line ({}, near '{}')", position, reason,
                             last_characters(last_token)),
                 "correct or remove the line"});
  }

 private:
  static constexpr std::size_t kOther = 2;
  static constexpr std::array<std::string_view, 2> kColumns{"model_input", "model_output"};

  bool value(std::string text, std::string_view kind, bool is_text) {
    if (depth_ == 0) return fail_not_object(kind);
    if (depth_ != 1 || cell_ == kOther) return true;
    if (!is_text) {
      return fail(
          {fmt::format("text in \"{}\"", kColumns[cell_]), std::string(kind), "fill the cell or remove the row"});
    }
    *cells_[cell_] = std::move(text);
    seen_[cell_] = true;
    return true;
  }
  bool enter(std::string_view kind) {
    if (depth_ == 0) return fail_not_object(kind);
    if (depth_ == 1 && cell_ != kOther) {
      return fail({fmt::format("text in \"{}\"", kColumns[cell_]), fmt::format("{} inside it", kind),
                   "write the cell as one string"});
    }
    ++depth_;
    return true;
  }
  bool leave() {
    --depth_;
    return true;
  }
  bool fail_not_object(std::string_view kind) {
    return fail({"a JSON object", std::string(kind),
                 "write one object with \"model_input\" and \"model_output\" a line (JSON Lines)"});
  }
  bool fail(Problem problem) {
    problem_ = std::move(problem);
    return false;
  }
  std::string describe_columns() const {
    std::vector<std::string> columns = other_columns_;
    for (std::size_t i = 0; i < kColumns.size(); ++i) {
      if (seen_[i]) columns.emplace_back(kColumns[i]);
    }
    if (columns.empty()) return "no column at all";
    return fmt::format("\"{}\"", fmt::join(columns, "\", \""));
  }

  std::array<std::string*, 2> cells_{};
  std::array<bool, 2> seen_{};
  std::size_t cell_ = kOther;
  int depth_ = 0;
  std::vector<std::string> other_columns_;
  std::optional<Problem> problem_;
};

class JsonLinesReader final : public RowReader {
 public:
  explicit JsonLinesReader(const std::filesystem::path& path) : path_(path), buffer_(kBufferBytes) {
    stream_.rdbuf()->pubsetbuf(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    errno = 0;
    stream_.open(path, std::ios::binary);
    if (!stream_) throw_system_error("open", path, errno);
    std::error_code error;
    bytes_ = std::filesystem::file_size(path, error);
    if (error) bytes_ = 0;  // not a regular file, e.g. a pipe
  }

  std::optional<Row> next() override {
    while (std::getline(stream_, line_)) {
      const std::size_t line_start = bytes_read_;
      bytes_read_ += line_.size() + 1;
      std::string_view text = line_;
      if (++line_number_ == 1 && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
      if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      if (const auto offset = find_invalid_utf8(text)) {
        fail("UTF-8 text",
             fmt::format("byte 0x{:02x} at byte {} of the line (byte {} of the file)",
                         static_cast<unsigned char>(text[*offset]), *offset + 1, line_start + *offset + 1),
             "convert the file to UTF-8 (e.g. with iconv), or remove the line");
      }
      Row row;
      if (const auto problem = parser_.parse(text, row)) fail(problem->expected, problem->found, problem->remedy);
      return row;
    }
    if (stream_.bad()) throw_system_error("read", path_, errno == 0 ? EIO : errno);
    return std::nullopt;
  }

  std::string position() const override { return fmt::format("{}: line {}", path_.string(), line_number_); }

  double progress() const override {
    return bytes_ == 0 ? 0 : std::min(1.0, static_cast<double>(bytes_read_) / static_cast<double>(bytes_));
  }

 private:
  [[noreturn]] void fail(std::string_view expected, std::string_view found, std::string_view remedy) const {
    throw InputError(fmt::format("{}: expected {}, found {}; {}", position(), expected, found, remedy));
  }

  std::filesystem::path path_;
  std::vector<char> buffer_;
  std::ifstream stream_;
  std::uintmax_t bytes_ = 0;
  std::uintmax_t bytes_read_ = 0;
  std::uint64_t line_number_ = 0;
  std::string line_;
  RowParser parser_;
};

}  // namespace

std::unique_ptr<RowReader> open_json_lines(const std::filesystem::path& path) {
  return std::make_unique<JsonLinesReader>(path);
}

}  // namespace lockstep
