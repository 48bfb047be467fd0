#include "data/readers/json_row_parser.h"

#include "lockstep/core/rapidjson_namespace.h"  // must precede RapidJSON

#include <fmt/format.h>
#include <rapidjson/reader.h>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "lockstep/core/utf8.h"

namespace lockstep::data {
namespace {

constexpr unsigned kFlags = rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag;
constexpr std::size_t kReadAhead = 32;  // bytes that RapidJSON's vector instructions may load past the end of a text

// Returns the last characters that were read before parsing failed.
std::string_view last_characters(std::string_view text) {
  constexpr std::size_t kShown = 40;
  if (text.size() > kShown) text.remove_prefix(text.size() - kShown);
  while (!text.empty() && (static_cast<unsigned char>(text.front()) & 0xC0) == 0x80) text.remove_prefix(1);
  return core::find_invalid_utf8(text) ? "" : text;
}

// RapidJSON accepts some escapes of unpaired surrogates as characters.
bool may_escape_surrogates(std::string_view text) {
  for (std::size_t i = text.find('\\'); i != std::string_view::npos; i = text.find('\\', i + 2)) {
    const std::string_view escape = text.substr(i, 3);
    if (escape == "\\ud" || escape == "\\uD") return true;
  }
  return false;
}

// Parses the common kind of row, in which no required cell is null or nested. Fails at any other, and at any error.
class UsualRow final : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, UsualRow> {
 public:
  UsualRow(const std::vector<Column>& columns, Cells& cells) : columns_(columns), cells_(cells) {}

  bool is_complete() const { return found_ == columns_.size(); }

  bool Null() { return depth_ > 1 || column_ == nullptr; }
  bool Bool(bool value) { return take(value ? "true" : "false"); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) { return take({text, size}); }
  bool String(const char* text, rapidjson::SizeType size, bool) { return take({text, size}); }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    if (depth_ > 1) return true;
    const auto found = std::ranges::find(columns_, std::string_view(text, size), &Column::name);
    column_ = found == columns_.end() ? nullptr : &cells_[static_cast<std::size_t>(found - columns_.begin())];
    return column_ == nullptr || !*column_;
  }
  bool StartObject() { return enter() || depth_ == 1; }
  bool StartArray() { return enter() && depth_ > 1; }
  bool EndObject(rapidjson::SizeType) { return leave(); }
  bool EndArray(rapidjson::SizeType) { return leave(); }

 private:
  bool take(std::string_view text) {
    if (depth_ != 1) return depth_ > 1;
    if (column_ == nullptr) return true;
    column_->emplace(text);
    ++found_;
    return true;
  }
  bool enter() { return ++depth_ > 2 || column_ == nullptr; }
  bool leave() {
    --depth_;
    return true;
  }

  const std::vector<Column>& columns_;
  Cells& cells_;
  std::optional<std::string>* column_ = nullptr;
  int depth_ = 0;
  std::size_t found_ = 0;
};

// Parses any row and reports precisely what is wrong with it. Builds no tree.
class AnyRow final : public nlohmann::json_sax<nlohmann::json> {
 public:
  AnyRow(const std::vector<Column>& columns, const std::string& unit, Cells& cells)
      : columns_(columns), unit_(unit), cells_(cells) {}

  std::optional<Problem> parse(std::string_view text) {
    nlohmann::json::sax_parse(text.begin(), text.end(), this);
    for (std::size_t i = 0; !problem_ && i < columns_.size(); ++i) {
      if (!cells_[i] && !columns_[i].optional) problem_ = missing_column(columns_[i], existing_);
    }
    return std::move(problem_);
  }

  bool null() override {
    if (depth_ == 1 && column_ != kOther && columns_[column_].optional) return true;
    return value("null", "null", false);
  }
  bool boolean(bool val) override { return value(val ? "true" : "false", "a boolean", true); }
  bool number_unsigned(std::uint64_t val) override { return value(fmt::to_string(val), "a number", true); }
  bool number_float(double, const std::string& text) override { return value(text, "a number", true); }
  bool string(std::string& val) override { return value(std::move(val), "a string", true); }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool number_integer(std::int64_t val) override {
    return value(val == 0 ? "-0" : fmt::to_string(val), "a number", true);  // zero arrives here only as "-0"
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
    const auto found = std::ranges::find(columns_, name, &Column::name);
    column_ = found == columns_.end() ? kOther : static_cast<std::size_t>(found - columns_.begin());
    if (column_ != kOther && cells_[column_]) {
      return fail({fmt::format("one \"{}\"", name), "two of them", "keep one"});
    }
    existing_.push_back(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string& last_token,
                   const nlohmann::json::exception& error) override {
    if (problem_) return false;
    std::string reason = error.what();
    if (const auto start = reason.find("syntax error"); start != std::string::npos) reason = reason.substr(start);
    if (const auto tail = reason.find("; last read"); tail != std::string::npos) reason.resize(tail);
    return fail({"a JSON object",
                 fmt::format("malformed JSON at byte {} of the {} ({}, near '{}')", position, unit_, reason,
                             last_characters(last_token)),
                 fmt::format("correct or remove the {}", unit_)});
  }

 private:
  static constexpr std::size_t kOther = SIZE_MAX;

  bool value(std::string text, std::string_view kind, bool is_text) {
    if (depth_ == 0) return fail_not_object(kind);
    if (depth_ != 1 || column_ == kOther) return true;
    if (!is_text) return fail(not_text(columns_[column_], kind));
    cells_[column_] = std::move(text);
    return true;
  }
  bool enter(std::string_view kind) {
    if (depth_ == 0) return fail_not_object(kind);
    if (depth_ == 1 && column_ != kOther) {
      return fail(not_text(columns_[column_], fmt::format("{} inside it", kind)));
    }
    ++depth_;
    return true;
  }
  bool leave() {
    --depth_;
    return true;
  }
  bool fail_not_object(std::string_view kind) {
    return fail(
        {"a JSON object", std::string(kind), fmt::format("write one object with the row's columns per {}", unit_)});
  }
  bool fail(Problem problem) {
    problem_ = std::move(problem);
    return false;
  }

  const std::vector<Column>& columns_;
  const std::string& unit_;
  Cells& cells_;
  std::size_t column_ = kOther;
  int depth_ = 0;
  std::vector<std::string> existing_;
  std::optional<Problem> problem_;
};

void clear(Cells& cells, std::size_t size) {
  cells.resize(size);
  for (auto& cell : cells) cell.reset();
}

}  // namespace

std::optional<Problem> JsonRowParser::parse(std::string_view text, std::uint64_t offset, Cells& cells) {
  if (const auto invalid = core::find_invalid_utf8(text)) {
    return Problem{"UTF-8 text",
                   fmt::format("byte 0x{:02x} at byte {} of the {} (byte {} of the file)",
                               static_cast<unsigned char>(text[*invalid]), *invalid + 1, unit_, offset + *invalid + 1),
                   fmt::format("convert the file to UTF-8 (e.g. with iconv), or remove the {}", unit_)};
  }
  if (!may_escape_surrogates(text)) {
    clear(cells, columns_.size());
    row_.reserve(text.size() + kReadAhead);
    row_.assign(text);
    rapidjson::StringStream stream(row_.c_str());
    UsualRow row(columns_, cells);
    rapidjson::Reader reader;
    if (reader.Parse<kFlags>(stream, row) && row.is_complete() && stream.Tell() == row_.size()) return std::nullopt;
  }
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {  // nlohmann's parser would stop there
    return Problem{"a JSON object", fmt::format("malformed JSON: a NUL at byte {} of the {}", nul + 1, unit_),
                   fmt::format("correct or remove the {}", unit_)};
  }
  clear(cells, columns_.size());
  return AnyRow(columns_, unit_, cells).parse(text);
}

}  // namespace lockstep::data
