#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::data {

/// A column that the row templates need.
struct Column {
  std::string name;
  std::string key;        // job key that names the column, e.g. "prompt_template"
  bool optional = false;  // rows may lack it
};

/// The texts of a row, one per column; nullopt only if an optional column is missing or null.
using Cells = std::vector<std::optional<std::string>>;

/// Reads selected columns of consecutive rows.
class CellReader {
 public:
  virtual ~CellReader() = default;
  /// Reads the next row into `cells`, resized to one per column. Returns false at the end. Throws InputError naming
  /// file and line (or row) for malformed rows, missing or null cells, and text that is not UTF-8.
  virtual bool next(Cells& cells) = 0;
  /// Returns the location of the row that next() last read, e.g. "train.jsonl: line 12".
  virtual std::string position() const = 0;
};

/// The approximate size of a block: small enough that threads finish at about the same time and many blocks fit into
/// memory, large enough that handing one over costs almost nothing.
constexpr std::size_t kBlockBytes = 256 << 10;

/// Reads selected columns of a file, block by block. Per-row work is left to the blocks: a block does not need its
/// CellBlocks any more and may be read in another thread.
class CellBlocks {
 public:
  virtual ~CellBlocks() = default;
  /// Returns the next block of rows, or null at the end. Errors that concern the file as a whole are thrown here, as by
  /// CellReader::next(), and only after all rows before them have been returned.
  virtual std::unique_ptr<CellReader> next() = 0;
  /// Returns the share of the source read so far, 0 to 1.
  virtual double progress() const = 0;
};

/// Describes what is wrong with a row or a file.
struct Problem {
  std::string expected, found, remedy;
};

Problem missing_column(const Column& column, const std::vector<std::string>& existing);
/// Describes a cell that has no text. `kind` is what was found instead, e.g. "null" or "an array".
Problem not_text(const Column& column, std::string_view kind);

/// Throws InputError: "POSITION: expected ..., found ...; REMEDY".
[[noreturn]] void throw_problem(const std::string& position, const Problem& problem);

/// Throws InputError unless each required column appears exactly once in the header `existing`, and each optional one
/// at most once.
void check_header(const std::string& file, const std::vector<Column>& columns,
                  const std::vector<std::string>& existing);

/// Returns a Problem if `text` is not UTF-8, else nullopt.
std::optional<Problem> not_utf8(std::string_view text, const Column& column);

}  // namespace lockstep::data
