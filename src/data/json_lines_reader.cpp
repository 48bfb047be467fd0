#include "json_lines_reader.h"

#include <fmt/format.h>
#include <cstdint>
#include <string_view>

#include "json_row_parser.h"
#include "text_source.h"

namespace lockstep {
namespace {

class JsonLinesReader final : public CellReader {
 public:
  JsonLinesReader(const std::filesystem::path& path, const std::vector<Column>& columns)
      : name_(path.string()), text_(path), parser_(columns, "line") {}

  bool next(Cells& cells) override {
    while (const auto line = next_line()) {
      if (line->find_first_not_of(" \t\r") == std::string_view::npos) continue;
      if (const auto problem = parser_.parse(*line, line_offset_, cells)) throw_problem(position(), *problem);
      return true;
    }
    return false;
  }

  std::string position() const override { return fmt::format("{}: line {}", name_, line_number_); }
  double progress() const override { return text_.progress(); }

 private:
  // Without its end. Valid until the next call.
  std::optional<std::string_view> next_line() {
    std::size_t searched = 0;
    for (;;) {
      const std::string_view unread = text_.unread();
      const std::size_t end = unread.find('\n', searched);
      const bool at_end = end == std::string_view::npos && !text_.extend(position());
      if (end == std::string_view::npos && !at_end) {
        searched = unread.size();
        continue;
      }
      const std::string_view line = text_.unread().substr(0, end);
      if (at_end && line.empty()) return std::nullopt;
      line_offset_ = text_.offset();
      text_.consume(line.size() + (at_end ? 0 : 1));
      ++line_number_;
      return line;
    }
  }

  std::string name_;
  TextWindow text_;
  JsonRowParser parser_;
  std::uint64_t line_number_ = 0;
  std::uint64_t line_offset_ = 0;
};

}  // namespace

std::unique_ptr<CellReader> open_json_lines(const std::filesystem::path& path, const std::vector<Column>& columns) {
  return std::make_unique<JsonLinesReader>(path, columns);
}

}  // namespace lockstep
