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

/// A file as a sequence of record batches that hold the required columns.
struct RecordBatches {
  std::shared_ptr<arrow::RecordBatchReader> reader;
  /// Returns the share of the file read, given the number of rows read so far.
  std::function<double(std::uint64_t rows)> progress;
};

/// Opens an Arrow IPC file or stream; the first bytes tell which it is.
RecordBatches open_ipc_batches(const std::filesystem::path& path, const std::vector<Column>& columns);

/// Opens a Parquet file in batches of a few hundred rows. Only one buffer per column of a row group is in memory.
RecordBatches open_parquet_batches(const std::filesystem::path& path, const std::vector<Column>& columns);

/// Returns how many rows of these columns (null for a missing one) make a block of about kBlockBytes; at least 1.
std::int64_t rows_per_block(const std::vector<std::shared_ptr<arrow::Array>>& columns);

/// Returns the indices of the columns in the schema, leaving out optional ones that it does not have. Throws InputError
/// for a column that is missing, appears twice, or has a type without text.
std::vector<int> find_columns(const std::string& file, const arrow::Schema& schema, const std::vector<Column>& columns);

}  // namespace lockstep::data
