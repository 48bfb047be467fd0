#include <arrow/io/file.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/properties.h>
#include <parquet/schema.h>
#include <algorithm>
#include <numeric>
#include <utility>

#include "data/readers/record_batches.h"
#include "data/readers/text_source.h"

namespace lockstep::data {
namespace {

constexpr std::int64_t kBatchRows = 512;
constexpr std::int64_t kBufferBytes = 1 << 20;  // per column

void check(const arrow::Status& status, const std::string& file) {
  if (!status.ok()) throw_read_error(file, status, "expected a Parquet file: write it again");
}

std::unique_ptr<parquet::arrow::FileReader> open_reader(const std::filesystem::path& path) {
  auto file_properties = parquet::default_reader_properties();
  file_properties.enable_buffered_stream();
  file_properties.set_buffer_size(kBufferBytes);
  parquet::ArrowReaderProperties properties;
  properties.set_use_threads(false);  // the cores are for tokenizing
  properties.set_pre_buffer(false);
  properties.set_batch_size(kBatchRows);
  parquet::arrow::FileReaderBuilder builder;
  check(builder.Open(open_file(path), file_properties), path.string());
  auto reader = builder.properties(properties)->Build();
  check(reader.status(), path.string());
  return std::move(reader).ValueUnsafe();
}

}  // namespace

RecordBatches open_parquet_batches(const std::filesystem::path& path, const std::vector<Column>& columns) {
  const std::string name = path.string();
  const std::shared_ptr<parquet::arrow::FileReader> file = open_reader(path);
  std::shared_ptr<arrow::Schema> schema;
  check(file->GetSchema(&schema), name);
  find_columns(name, *schema, columns);

  const auto& metadata = *file->parquet_reader()->metadata();
  std::vector<int> leaves;  // a column that has text is a single leaf of Parquet's schema tree
  for (int i = 0; i < metadata.schema()->num_columns(); ++i) {
    const std::string& root = metadata.schema()->GetColumnRoot(i)->name();
    if (std::ranges::find(columns, root, &Column::name) != columns.end()) leaves.push_back(i);
  }
  std::vector<int> row_groups(static_cast<std::size_t>(metadata.num_row_groups()));
  std::iota(row_groups.begin(), row_groups.end(), 0);
  auto reader = file->GetRecordBatchReader(row_groups, leaves);
  check(reader.status(), name);
  const double rows = std::max(1.0, static_cast<double>(metadata.num_rows()));
  return {std::shared_ptr<arrow::RecordBatchReader>(std::move(reader).ValueUnsafe()),
          [file, rows](std::uint64_t rows_read) { return static_cast<double>(rows_read) / rows; }};  // keeps file open
}

}  // namespace lockstep::data
