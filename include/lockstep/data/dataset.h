#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/data/row_format.h"

namespace lockstep::data {

/// One input and output pair of the training task.
struct Row {
  std::string model_input;
  std::string model_output;
};

/// Reads consecutive rows of a dataset.
class RowReader {
 public:
  virtual ~RowReader() = default;
  /// Returns the next row, or nullopt at the end. Numbers and booleans become their JSON text. Throws InputError naming
  /// file and line (or row) for malformed or missing cells and for text that is not UTF-8.
  virtual std::optional<Row> next() = 0;
  /// Returns the location of the row that next() last returned, e.g. "train.jsonl: line 12".
  virtual std::string position() const = 0;
};

/// Reads a dataset block by block, so that several threads can share the work. Per-row work is left to the blocks: a
/// block does not need its RowBlocks any more and may be read in another thread.
class RowBlocks {
 public:
  virtual ~RowBlocks() = default;
  /// Returns the next block of rows, or null at the end. Errors that concern a file as a whole are thrown here, as by
  /// RowReader::next(), and only after all rows before them have been returned.
  virtual std::unique_ptr<RowReader> next() = 0;
  /// Returns the share of the source read so far, 0 to 1.
  virtual double progress() const = 0;
};

/// How to read a dataset's files.
struct DatasetOptions {
  RowFormat format{};
  std::string default_split = "train";  // for a DatasetDict, if the location names no split
  /// True if rows may lack the columns of response_template, as for generation; their model_output is then empty.
  bool output_is_optional = false;
};

struct RowColumns;

/// A dataset with the columns `model_input` and `model_output`, either in memory or in files that are read as a stream.
/// Cheap to copy.
///
/// The file name determines the format: `.jsonl` and `.ndjson` (JSON Lines), `.json` (an array of objects if the text
/// begins with "[", else JSON Lines), `.csv`, `.tsv`, each optionally followed by `.gz`, `.zst`, `.bz2` or `.lz4`,
/// `.parquet` and `.arrow` (IPC file or stream). A folder must have been written by `save_to_disk` of Hugging Face
/// datasets; `FOLDER:SPLIT` selects a split of a DatasetDict.
///
/// Numbers and booleans become their JSON text. A missing or null cell is an error, and so is a cell of any other type.
class Dataset {
 public:
  /// Makes a dataset of rows in memory. Throws InputError if the columns differ in length.
  static Dataset from_columns(std::vector<std::string> model_input, std::vector<std::string> model_output,
                              InputContainsOutput input_contains_output = InputContainsOutput::kAuto);
  /// Opens a file, a folder, or `FOLDER:SPLIT`. Throws InputError if it does not exist, if its format is not supported,
  /// or if a template of `options` is invalid.
  static Dataset from_file(const std::filesystem::path& path, const DatasetOptions& options);
  static Dataset from_file(const std::filesystem::path& path);
  /// Returns the datasets that `location` in a job file names: one, as from_file() takes it, or all that match a
  /// pattern with `*`, `?`, `[...]` or `**` (docs/data.md), sorted by name. Throws InputError if no file matches.
  static std::vector<Dataset> find(const std::string& location, const DatasetOptions& options);

  /// Returns a reader that starts at the first row and is independent of other readers. Throws InputError as
  /// RowReader::next() does.
  std::unique_ptr<RowReader> open() const;
  /// Returns the rows of open() in blocks.
  std::unique_ptr<RowBlocks> open_blocks() const;
  /// Returns the location, with the split of a DatasetDict, or "in-memory dataset".
  const std::string& name() const { return name_; }
  /// Returns the files that are read, in the order of the rows; empty if the rows are in memory.
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
