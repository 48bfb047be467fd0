#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::data {

/// A column that the rows' templates need.
struct Column {
  std::string name;
  std::string key;        // of the job: what names the column, e.g. "prompt_template"
  bool optional = false;  // rows may lack it
};

/// A row's texts, one a column; none only where an optional column is missing or null.
using Cells = std::vector<std::optional<std::string>>;

/// Reads some columns of consecutive rows.
class CellReader {
 public:
  virtual ~CellReader() = default;
  /// Reads the next row into `cells` (resized to one a column); false at the end. Throws InputError naming file and
  /// line (or row) for malformed rows, missing or null cells, and text that is not UTF-8.
  virtual bool next(Cells& cells) = 0;
  /// As RowReader's.
  virtual std::string position() const = 0;
};

/// About the size of a block: small enough that threads end together and many fit into memory, and large enough that
/// handing it over costs nothing.
constexpr std::size_t kBlockBytes = 256 << 10;

/// Reads some columns of a file, block by block. What is work for each row is left to the block, which needs its
/// CellBlocks no more and may be read in another thread.
class CellBlocks {
 public:
  virtual ~CellBlocks() = default;
  /// The next rows; null at the end. Throws what concerns the file as a whole, as CellReader::next() does, and only
  /// after all rows before it were given.
  virtual std::unique_ptr<CellReader> next() = 0;
  /// As RowBlocks'.
  virtual double progress() const = 0;
};

/// What is wrong with a row or a file.
struct Problem {
  std::string expected, found, remedy;
};

Problem missing_column(const Column& column, const std::vector<std::string>& existing);
/// `kind` is what stands in its place, e.g. "null" or "an array".
Problem not_text(const Column& column, std::string_view kind);

/// Throws InputError: "POSITION: expected ..., found ...; REMEDY".
[[noreturn]] void throw_problem(const std::string& position, const Problem& problem);

/// Throws InputError unless each column that is not optional stands in the header `existing` once.
void check_header(const std::string& file, const std::vector<Column>& columns,
                  const std::vector<std::string>& existing);

/// What is wrong with `text`, if it is not UTF-8.
std::optional<Problem> not_utf8(std::string_view text, const Column& column);

}  // namespace lockstep::data
