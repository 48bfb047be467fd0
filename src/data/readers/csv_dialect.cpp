#include "data/readers/csv_dialect.h"

#include <fmt/format.h>
#include <string>

#include "lockstep/core/error.h"

namespace lockstep::data {
namespace {

char mark_named(const char* key, const std::string& text, const char* examples) {
  if (text == "tab") return '\t';
  const auto byte = text.size() == 1 ? static_cast<unsigned char>(text[0]) : 0U;
  if (byte != 0 && byte < 0x80 && byte != '\n' && byte != '\r') return text[0];
  throw InputError(fmt::format("{}: expected one ASCII character, found '{}'; write {}", key, text, examples));
}

}  // namespace

CsvDialect csv_dialect_of(const RowFormat& format) {
  CsvDialect dialect{.delimiter = {}, .quote = {}};
  if (format.csv_delimiter) {
    dialect.delimiter = mark_named("csv_delimiter", *format.csv_delimiter,
                                   "e.g. \";\" or tab, or none for what the file name's extension says");
  }
  if (format.csv_quote) {
    dialect.quote = mark_named("csv_quote", *format.csv_quote, "e.g. \"'\", or none if quotes are text");
  }
  for (const char delimiter : {',', '\t'}) {
    if (dialect.quote && dialect.quote == dialect.delimiter.value_or(delimiter)) {
      throw InputError(fmt::format("csv_quote: expected another character than the delimiter, found '{}'; change one",
                                   *dialect.quote));
    }
  }
  return dialect;
}

}  // namespace lockstep::data
