#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/readers/cell_reader.h"

namespace arrow {
class Array;
class RecordBatchReader;
class Schema;
}  // namespace arrow

namespace lockstep::data {

/// A file as a sequence of record batches that hold the columns in question.
struct RecordBatches {
  std::shared_ptr<arrow::RecordBatchReader> reader;
  /// Share of the file read, given the rows read so far.
  std::function<double(std::uint64_t rows)> progress;
};

/// An Arrow IPC file or stream, as its first bytes say.
RecordBatches open_ipc_batches(const std::filesystem::path& path, const std::vector<Column>& columns);

/// A Parquet file in batches of a few hundred rows. Of a row group, only a buffer a column is in memory.
RecordBatches open_parquet_batches(const std::filesystem::path& path, const std::vector<Column>& columns);

/// The rows of these columns (null for a missing one) that make a block of about kBlockBytes: 1 at least.
std::int64_t rows_of_a_block(const std::vector<std::shared_ptr<arrow::Array>>& columns);

/// The places of the columns in the schema; those that are optional may lack one. Throws InputError for a column that
/// is missing, stands there twice, or is of a type that has no text.
std::vector<int> find_columns(const std::string& file, const arrow::Schema& schema, const std::vector<Column>& columns);

}  // namespace lockstep::data
