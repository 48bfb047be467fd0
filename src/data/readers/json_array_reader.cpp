#include "data/readers/json_array_reader.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "data/readers/json_blocks.h"

namespace lockstep::data {
namespace {

// Returns the next character that is not blank, without consuming it; nullopt at the end of the file.
std::optional<char> first_character(TextWindow& text, const std::string& position) {
  for (;;) {
    const std::string_view unread = text.unread();
    const std::size_t blanks = std::min(unread.find_first_not_of(" \t\r\n"), unread.size());
    text.consume(blanks);
    if (blanks < unread.size()) return unread[blanks];
    if (!text.extend(position)) return std::nullopt;
  }
}

// Finds the end of an array element: a comma or a closing bracket outside of strings and nested values.
class ElementEnd {
 public:
  // Continues the search in `text`, which may have grown since the last call. Returns the end of the element, or
  // nullopt if it is not in `text`.
  std::optional<std::size_t> find(std::string_view text) {
    for (; place_ < text.size(); ++place_) {
      const char c = text[place_];
      if (in_string_) {
        if (c == '\\') {
          ++place_;  // skip the escaped character, even if it is not in `text` yet
        } else if (c == '"') {
          in_string_ = false;
        }
      } else if (c == '"') {
        in_string_ = true;
      } else if (c == '{' || c == '[') {
        ++depth_;
      } else if (depth_ > 0) {
        if (c == '}' || c == ']') --depth_;
      } else if (c == ',' || c == ']') {
        return place_;
      }
    }
    return std::nullopt;
  }

 private:
  std::size_t place_ = 0;
  std::size_t depth_ = 0;
  bool in_string_ = false;
};

class JsonArray final : public JsonBlocks {
 public:
  JsonArray(const std::filesystem::path& path, const std::vector<Column>& columns) : JsonBlocks(path, columns, "row") {
    if (first_character(text(), name()) == '[') text().consume(1);
  }

 private:
  bool find_row() override {
    if (at_end_) return false;
    const auto first = first_character(text(), here());
    if (rows_read_ == 0 && first == ']') {
      finish();
      return false;
    }
    ++rows_read_;
    if (first == ',' || first == ']') fail("an object", fmt::format("\"{}\"", *first), "remove the comma before it");
    ElementEnd element;
    auto end = element.find(text().unread());
    while (!end) {
      if (!text().extend(here())) {
        fail("\"]\" at the end of the array", "the end of the file", "the file is truncated; write it again");
      }
      end = element.find(text().unread());
    }
    add(text().unread().substr(0, *end), rows_read_);
    const bool last = text().unread()[*end] == ']';
    text().consume(*end + 1);
    if (last) finish();
    return true;
  }

  void finish() {
    at_end_ = true;
    if (rows_read_ == 0) text().consume(1);
    if (const auto more = first_character(text(), here())) {
      fail("nothing after the array", fmt::format("'{}' at byte {} of the file", *more, text().offset() + 1),
           "keep one array in a file, or write JSON Lines");
    }
  }

  [[noreturn]] void fail(std::string expected, std::string found, std::string remedy) const {
    throw_problem(here(), {std::move(expected), std::move(found), std::move(remedy)});
  }

  std::string here() const { return position(rows_read_); }

  std::uint64_t rows_read_ = 0;
  bool at_end_ = false;
};

}  // namespace

bool holds_json_array(const std::filesystem::path& path) {
  TextWindow text(path);
  return first_character(text, path.string()) == '[';
}

std::unique_ptr<CellBlocks> open_json_array(const std::filesystem::path& path, const std::vector<Column>& columns) {
  return std::make_unique<JsonArray>(path, columns);
}

}  // namespace lockstep::data
