#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/data/row_format.h"

namespace lockstep::data {

/// One pair of the training task.
struct Row {
  std::string model_input;
  std::string model_output;
};

/// Reads consecutive rows of a dataset.
class RowReader {
 public:
  virtual ~RowReader() = default;
  /// The next row, or none at the end. Throws InputError naming file and line (or row) for malformed or
  /// missing cells and for text that is not UTF-8. Numbers and booleans become their JSON text.
  virtual std::optional<Row> next() = 0;
  /// Where the row that next() gave last stands, e.g. "train.jsonl: line 12".
  virtual std::string position() const = 0;
};

/// Reads a dataset block by block, for use by several threads: what is work for each row is left to the block, which
/// needs its RowBlocks no more and may be read in another thread.
class RowBlocks {
 public:
  virtual ~RowBlocks() = default;
  /// The next rows of the dataset; null at the end. Throws what concerns a file as a whole, as RowReader::next() does,
  /// and only after all rows before it were given.
  virtual std::unique_ptr<RowReader> next() = 0;
  /// Share of the source read so far, 0 to 1.
  virtual double progress() const = 0;
};

/// How to read a dataset's files.
struct DatasetOptions {
  RowFormat format{};
  std::string default_split = "train";  // of a DatasetDict, where the location names none
  /// Rows may lack the columns of response_template, as for generation: then model_output is empty.
  bool output_is_optional = false;
};

struct RowColumns;

/// Rows with the columns `model_input` and `model_output`: in memory, or files that are read as a stream.
/// Cheap to copy.
///
/// A file's kind is that of its name: `.jsonl` and `.ndjson` (JSON Lines), `.json` (an array of objects if it begins
/// with "[", else JSON Lines), `.csv`, `.tsv`, each perhaps with `.gz`, `.zst`, `.bz2` or `.lz4` behind it, `.parquet`
/// and `.arrow` (IPC file or stream). A folder is what `save_to_disk` of Hugging Face datasets wrote; the split of a
/// DatasetDict is chosen by `FOLDER:SPLIT`.
///
/// Numbers and booleans become their JSON text. A missing or null cell, and any other type, is an error.
class Dataset {
 public:
  /// Throws InputError if the columns differ in length.
  static Dataset from_columns(std::vector<std::string> model_input, std::vector<std::string> model_output,
                              InputContainsOutput input_contains_output = InputContainsOutput::automatic);
  /// A file, a folder, or `FOLDER:SPLIT`. Throws InputError if it is missing or of another kind.
  static Dataset from_file(const std::filesystem::path& path, const DatasetOptions& options);
  static Dataset from_file(const std::filesystem::path& path);
  /// The datasets that a job file names: one as from_file takes it, or all that match a pattern with `*`, `?` or
  /// `[...]` (as glob(3) has it), sorted by name. Throws InputError if none does.
  static std::vector<Dataset> find(const std::string& location, const DatasetOptions& options);

  /// Starts at the first row; independent of other readers. Throws InputError as RowReader::next() does.
  std::unique_ptr<RowReader> open() const;
  /// The same rows in blocks.
  std::unique_ptr<RowBlocks> open_blocks() const;
  /// The location, with the split of a DatasetDict, or "in-memory dataset".
  const std::string& name() const { return name_; }
  /// The files that are read, in the order of the rows; none if the rows are in memory.
  const std::vector<std::filesystem::path>& files() const { return files_; }
  InputContainsOutput input_contains_output() const { return options_.format.input_contains_output; }

 private:
  std::shared_ptr<const RowColumns> columns_;
  std::vector<std::filesystem::path> files_;
  DatasetOptions options_;
  std::string name_;
};

}  // namespace lockstep::data

namespace lockstep {
using data::Dataset;
using data::DatasetOptions;
}  // namespace lockstep
