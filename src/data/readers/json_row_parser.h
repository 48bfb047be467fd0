#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/readers/cell_reader.h"

namespace lockstep::data {

/// Extracts columns from JSON objects. Other columns may hold anything.
class JsonRowParser {
 public:
  /// `unit` is what a row's text is called in messages: "line" or "row".
  JsonRowParser(std::vector<Column> columns, std::string unit) : columns_(std::move(columns)), unit_(std::move(unit)) {}

  /// Parses one row, which starts at byte `offset` of the file, into `cells`. Returns what is wrong with it, or
  /// nullopt. Numbers and booleans keep the text that the file has for them.
  std::optional<Problem> parse(std::string_view text, std::uint64_t offset, Cells& cells);

 private:
  std::vector<Column> columns_;
  std::string unit_;
  std::string row_;  // the row's text, NUL-terminated for RapidJSON
};

}  // namespace lockstep::data
