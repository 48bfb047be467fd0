#include "data/row_templates.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <utility>

#include "lockstep/core/error.h"

namespace lockstep::data {
namespace {

[[noreturn]] void refuse(const std::string& key, std::string_view found) {
  throw InputError(
      fmt::format("{}: expected a text with columns in braces, e.g. \"Question: {{question}}\", found {}; write "
                  "{{{{ and }}}} for braces",
                  key, found));
}

}  // namespace

void warn_of_literal_escapes(const RowFormat& format) {
  for (const auto& [key, text] : {std::pair{"prompt_template", format.prompt_template},
                                  std::pair{"response_template", format.response_template}}) {
    for (const char* escape : {"\\n", "\\t", "\\r"}) {
      if (text.find(escape) == std::string::npos) continue;
      spdlog::warn(
          "{}: contains a backslash followed by {}, which the model learns as these two characters; if a {} is meant, "
          "write the template in double quotes (on a command line: $'...')",
          key, escape[1],
          escape[1] == 'n'   ? "newline"
          : escape[1] == 't' ? "tab"
                             : "carriage return");
    }
  }
}

RowTemplates::RowTemplates(const RowFormat& format, bool output_is_optional)
    : prompt_(parse(format, "prompt_template", format.prompt_template, false)),
      response_(parse(format, "response_template", format.response_template, output_is_optional)) {
  const auto is_column = [](const Template& text) {
    return text.pieces.size() == 1 && text.pieces[0].text.empty() && text.end.empty();
  };
  plain_ = columns_.size() == 2 && is_column(prompt_) && is_column(response_);
}

RowTemplates::Template RowTemplates::parse(const RowFormat& format, const std::string& key, const std::string& text,
                                           bool optional) {
  Template parsed;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '{' && c != '}') {
      parsed.end += c;
    } else if (i + 1 < text.size() && text[i + 1] == c) {
      parsed.end += c;
      ++i;
    } else {
      const std::size_t close = text.find_first_of("{}", i + 1);
      if (c == '}' || close == std::string::npos || text[close] == '{') {
        refuse(key, fmt::format("an unpaired \"{}\" at byte {}", c, i + 1));
      }
      Column column{text.substr(i + 1, close - i - 1), key, optional};
      if (column.name.empty()) refuse(key, fmt::format("an empty pair of braces at byte {}", i + 1));
      if (column.name == "model_input") column = {format.input_column, "input_column", optional};
      if (column.name == "model_output") column = {format.output_column, "output_column", optional};
      parsed.pieces.push_back({std::exchange(parsed.end, {}), require_column(std::move(column))});
      i = close;
    }
  }
  if (parsed.pieces.empty()) refuse(key, fmt::format("\"{}\", the same text for every row", text));
  return parsed;
}

std::size_t RowTemplates::require_column(Column column) {
  const auto known = std::ranges::find(columns_, column.name, &Column::name);
  const auto index = static_cast<std::size_t>(known - columns_.begin());
  if (known == columns_.end()) columns_.push_back(std::move(column));
  return index;
}

Row RowTemplates::fill(Cells& cells) const {
  if (!plain_) return {fill(prompt_, cells), fill(response_, cells)};
  return {std::move(cells[0]).value_or(""), std::move(cells[1]).value_or("")};
}

std::string RowTemplates::fill(const Template& text, const Cells& cells) {
  std::string filled;
  for (const auto& piece : text.pieces) {
    const auto& cell = cells[piece.column];
    if (!cell) return "";
    filled += piece.text;
    filled += *cell;
  }
  return filled += text.end;
}

}  // namespace lockstep::data
