#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// One pair of the training task.
struct Row {
  std::string model_input;
  std::string model_output;
};

/// Reads a dataset from its first row to its last.
class RowReader {
 public:
  virtual ~RowReader() = default;
  /// The next row, or none at the end. Throws InputError naming file and line (or row) for malformed or
  /// missing cells and for text that is not UTF-8. Numbers and booleans become their JSON text.
  virtual std::optional<Row> next() = 0;
  /// Where the row that next() gave last stands, e.g. "train.jsonl: line 12".
  virtual std::string position() const = 0;
  /// Share of the source read so far, 0 to 1.
  virtual double progress() const = 0;
};

/// Rows with the columns `model_input` and `model_output`: in memory, or a file that is read as a stream.
/// Cheap to copy.
class Dataset {
 public:
  /// Throws InputError if the columns differ in length.
  static Dataset from_columns(std::vector<std::string> model_input, std::vector<std::string> model_output);
  /// A `.jsonl`/`.json` (JSON Lines) or `.csv` file. Throws InputError if it is missing or of another kind.
  static Dataset from_file(const std::filesystem::path& path);

  /// Starts at the first row; independent of other readers.
  std::unique_ptr<RowReader> open() const;
  /// The file's path, or "in-memory dataset".
  const std::string& name() const;
  /// The file, if the rows are not in memory.
  const std::optional<std::filesystem::path>& path() const;

 private:
  struct Columns;
  std::shared_ptr<const Columns> columns_;
  std::optional<std::filesystem::path> path_;
  std::string name_;
};

}  // namespace lockstep
