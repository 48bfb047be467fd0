#pragma once

#include <optional>

#include "lockstep/data/row_format.h"

namespace lockstep::data {

/// The marks of CSV and TSV files.
struct CsvDialect {
  std::optional<char> delimiter = {};  // nullopt: a comma in CSV, a tab in TSV
  std::optional<char> quote = '"';     // nullopt: quotes are text like any other character
};

/// Returns the dialect that csv_delimiter and csv_quote name. Throws InputError if one of them is not a single ASCII
/// character, or a line's end, or if they are the same.
CsvDialect csv_dialect_of(const RowFormat& format);

}  // namespace lockstep::data
