// Fuzzes JSON Lines, or an array of rows if the text begins with "[". The oracle is nlohmann's document tree, which the
// readers do not build.
#include <algorithm>
#include <map>

#include "data/readers/file_reader.h"
#include "fuzz_input.h"
#include "lockstep/core/error.h"
#include "lockstep/core/json.h"
#include "lockstep/core/utf8.h"

namespace lockstep::fuzz {
namespace {

using Rows = std::vector<data::Cells>;

const std::vector<data::Column> kColumns{{"model_input", "input_column"}, {"b", "prompt_template", /*optional=*/true}};

// Returns none if the reader rejects the file.
std::optional<Rows> read_rows(const std::filesystem::path& path) {
  Rows rows;
  try {
    const auto blocks = data::open_cells(path, kColumns);
    while (const auto block = blocks->next()) {
      for (data::Cells cells; block->next(cells);) rows.push_back(cells);
    }
  } catch (const Error&) {
    return std::nullopt;
  }
  return rows;
}

// Throws Json's exceptions, and Error for a NUL and if an object at `row_depth` has a column twice.
Json parse(std::string_view text, int row_depth) {
  if (text.find('\0') != std::string_view::npos) throw Error("a NUL");
  std::map<std::string, int> count;
  return Json::parse(text, [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth == row_depth && event == Json::parse_event_t::object_start) count.clear();
    if (depth != row_depth + 1 || event != Json::parse_event_t::key) return true;
    const auto key = value.get<std::string>();
    const bool is_column = std::ranges::find(kColumns, key, &data::Column::name) != kColumns.end();
    if (is_column && ++count[key] == 2) throw Error("twice");
    return true;
  });
}

data::Cells cells_of(const Json& row) {
  if (!row.is_object()) throw Error("not an object");
  data::Cells cells;
  for (const data::Column& column : kColumns) {
    const Json value = row.value(column.name, Json());
    if (value.is_structured() || (value.is_null() && !column.optional)) throw Error("not a text");
    auto& cell = cells.emplace_back();
    if (value.is_string()) cell = value.get<std::string>();
    if (value.is_boolean() || value.is_number()) cell = value.dump();
  }
  return cells;
}

Rows rows_of_lines(std::string_view text) {
  Rows rows;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) rows.push_back(cells_of(parse(line, 0)));
  }
  return rows;
}

Rows rows_of_array(std::string_view text) {
  Rows rows;
  for (const Json& row : parse(text, 1)) rows.push_back(cells_of(row));
  return rows;
}

// Compares numbers by value, because they can be written in several ways.
bool same(const std::optional<std::string>& a, const std::optional<std::string>& b) {
  if (a == b) return true;
  const auto is_number = [](const auto& text) { return text && Json::parse(*text, nullptr, false).is_number(); };
  return is_number(a) && is_number(b) && Json::parse(*a) == Json::parse(*b);
}

void compare(std::string_view text, const std::optional<Rows>& found) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool is_array = first != std::string_view::npos && text[first] == '[';
  if (is_array && text.find(kByteOrderMark) != std::string_view::npos) return;  // the reader accepts one before a row
  try {
    const Rows expected = is_array ? rows_of_array(text) : rows_of_lines(text);
    require(found.has_value(), "rows that nlohmann's parser takes are read");
    require(found->size() == expected.size(), "as many rows as nlohmann's parser finds");
    for (std::size_t i = 0; i < expected.size(); ++i) {
      require(std::ranges::equal((*found)[i], expected[i], same), "the cells that nlohmann's parser finds");
    }
  } catch (const Json::out_of_range&) {  // for a number beyond a double, which the readers keep as text
  } catch (const std::exception&) {
    require(!found.has_value(), "rows that nlohmann's parser refuses are refused");
  }
}

}  // namespace
}  // namespace lockstep::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  static const fuzz::InputFolder folder;
  const auto text = fuzz::as_text(data, size);
  fuzz::compare(text, fuzz::read_rows(folder.write("rows.json", text)));
  return 0;
}
