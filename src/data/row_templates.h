#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "data/readers/cell_reader.h"
#include "lockstep/data/dataset.h"
#include "lockstep/data/row_format.h"

namespace lockstep::data {

/// The templates of a RowFormat, parsed once and filled in for each row.
class RowTemplates {
 public:
  /// With `output_is_optional`, columns that only the response_template uses may be missing. Throws InputError for a
  /// template with unpaired or empty braces, or without a column.
  RowTemplates(const RowFormat& format, bool output_is_optional);

  /// Returns the columns that the templates need, each once.
  const std::vector<Column>& columns() const { return columns_; }

  /// Fills in the templates. `cells` are in the order of columns() and may be moved from. A template with a missing
  /// cell gives an empty text.
  Row fill(Cells& cells) const;

 private:
  // A literal text, followed by the cell of a column.
  struct Piece {
    std::string text;
    std::size_t column;
  };
  struct Template {
    std::vector<Piece> pieces;
    std::string end;
  };

  Template parse(const RowFormat& format, const std::string& key, const std::string& text, bool optional);
  std::size_t require_column(Column column);
  static std::string fill(const Template& text, const Cells& cells);

  std::vector<Column> columns_;
  Template prompt_, response_;
  bool plain_;  // the templates are two different columns, without literal text
};

}  // namespace lockstep::data
