#include "data/readers/json_lines_reader.h"

#include <cstdint>
#include <string_view>

#include "data/readers/json_blocks.h"

namespace lockstep::data {
namespace {

class JsonLines final : public JsonBlocks {
 public:
  JsonLines(const std::filesystem::path& path, const std::vector<Column>& columns)
      : JsonBlocks(path, columns, "line") {}

 private:
  bool find_row() override {
    std::size_t searched = 0;
    for (;;) {
      const std::string_view unread = text().unread();
      const std::size_t end = unread.find('\n', searched);
      const bool at_end = end == std::string_view::npos && !text().extend(position(lines_read_));
      if (end == std::string_view::npos && !at_end) {
        searched = unread.size();
        continue;
      }
      const std::string_view line = text().unread().substr(0, end);
      if (at_end && line.empty()) return false;
      ++lines_read_;
      const bool blank = line.find_first_not_of(" \t\r") == std::string_view::npos;
      if (!blank) add(line, lines_read_);
      text().consume(line.size() + (at_end ? 0 : 1));
      if (!blank) return true;
      searched = 0;
    }
  }

  std::uint64_t lines_read_ = 0;
};

}  // namespace

std::unique_ptr<CellBlocks> open_json_lines(const std::filesystem::path& path, const std::vector<Column>& columns) {
  return std::make_unique<JsonLines>(path, columns);
}

}  // namespace lockstep::data
