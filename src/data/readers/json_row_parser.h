#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/readers/cell_reader.h"

namespace lockstep::data {

/// Takes columns out of JSON objects. Other columns may hold anything.
class JsonRowParser {
 public:
  /// `unit` is what a row's text is, for messages: "line" or "row".
  JsonRowParser(std::vector<Column> columns, std::string unit) : columns_(std::move(columns)), unit_(std::move(unit)) {}

  /// Parses one row, which stands at `offset` in the file. Returns what is wrong with it, if anything is. Numbers and
  /// booleans become their JSON text, as it is written.
  std::optional<Problem> parse(std::string_view text, std::uint64_t offset, Cells& cells);

 private:
  std::vector<Column> columns_;
  std::string unit_;
  std::string row_;  // the text with the NUL behind it that RapidJSON needs
};

}  // namespace lockstep::data
