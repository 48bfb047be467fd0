#include "data/readers/cell_reader.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/core/error.h"
#include "lockstep/core/utf8.h"

namespace lockstep::data {
namespace {

constexpr std::size_t kMaxShownColumns = 20;

std::string list(std::vector<std::string> columns) {
  if (columns.empty()) return "no column at all";
  const bool all = columns.size() <= kMaxShownColumns;
  if (!all) columns.resize(kMaxShownColumns);
  return fmt::format("\"{}\"{}", fmt::join(columns, "\", \""), all ? "" : ", ...");
}

}  // namespace

Problem missing_column(const Column& column, const std::vector<std::string>& existing) {
  const bool standard = column.name == "model_input" || column.name == "model_output";
  return {fmt::format("a column \"{}\" ({})", column.name, column.key), list(existing),
          standard ? "give each row \"model_input\" and \"model_output\", or name your own columns with input_column "
                     "and output_column"
                   : fmt::format("name a column that exists in {}", column.key)};
}

Problem not_text(const Column& column, std::string_view kind) {
  const bool missing = kind == "null" || kind == "nothing" || kind == "nan";
  return {fmt::format("text in \"{}\"", column.name), std::string(kind),
          missing ? "fill the cell, write \"\" for empty text, or remove the row" : "write the cell as one string"};
}

void throw_problem(const std::string& position, const Problem& problem) {
  throw InputError(
      fmt::format("{}: expected {}, found {}; {}", position, problem.expected, problem.found, problem.remedy));
}

void check_header(const std::string& file, const std::vector<Column>& columns,
                  const std::vector<std::string>& existing) {
  for (const auto& column : columns) {
    const auto count = std::ranges::count(existing, column.name);
    if (count == 1 || (count == 0 && column.optional)) continue;
    Problem problem = missing_column(column, existing);
    if (count > 1) {
      problem = {fmt::format("one column \"{}\"", column.name), "it twice: " + list(existing), "rename one of them"};
    }
    throw_problem(file, problem);
  }
}

std::optional<Problem> not_utf8(std::string_view text, const Column& column) {
  const auto offset = core::find_invalid_utf8(text);
  if (!offset) return std::nullopt;
  return Problem{
      fmt::format("UTF-8 in \"{}\"", column.name),
      fmt::format("byte 0x{:02x} at byte {} of the cell", static_cast<unsigned char>(text[*offset]), *offset + 1),
      "convert the text to UTF-8, or remove the row"};
}

}  // namespace lockstep::data
