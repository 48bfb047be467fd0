#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "data/readers/cell_reader.h"
#include "lockstep/data/dataset.h"
#include "lockstep/data/row_format.h"

namespace lockstep::data {

/// The templates of a RowFormat, parsed once and filled row by row.
class RowTemplates {
 public:
  /// With `output_is_optional`, columns of the response_template alone may be missing. Throws InputError for a
  /// template with an unpaired brace, or without a column.
  RowTemplates(const RowFormat& format, bool output_is_optional);

  /// The columns that the templates need, each once.
  const std::vector<Column>& columns() const { return columns_; }

  /// `cells` in the order of columns(); taken out of it where that saves a copy. A missing cell makes the whole text
  /// empty.
  Row fill(Cells& cells) const;

 private:
  // Text, and then the cell of a column.
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
  bool plain_;  // each template is a column and nothing else, not the same one
};

}  // namespace lockstep::data
