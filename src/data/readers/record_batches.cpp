#include "data/readers/record_batches.h"

#include <arrow/array.h>
#include <arrow/io/file.h>
#include <arrow/ipc/reader.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>
#include <arrow/util/byte_size.h>
#include <arrow/util/iterator.h>
#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "data/readers/arrow_cell.h"
#include "data/readers/text_source.h"

namespace lockstep::data {
namespace {

constexpr std::string_view kIpcFileMagic = "ARROW1";

template <typename T>
T value_or_throw(arrow::Result<T> result, const std::string& file) {
  if (!result.ok()) throw_read_error(file, result.status(), "expected an Arrow file or stream: write it again");
  return std::move(result).ValueUnsafe();
}

bool is_ipc_file(const std::filesystem::path& path) {
  std::array<char, kIpcFileMagic.size()> start{};
  const std::size_t count = TextSource(path).read(start.data(), start.size());
  return std::string_view(start.data(), count) == kIpcFileMagic;
}

arrow::ipc::IpcReadOptions read_options() {
  auto options = arrow::ipc::IpcReadOptions::Defaults();
  options.use_threads = false;  // the cores are for tokenizing
  return options;
}

std::shared_ptr<arrow::RecordBatchReader> open_ipc_file(const std::shared_ptr<arrow::io::ReadableFile>& file,
                                                        const std::string& name, const std::vector<Column>& columns) {
  using Reader = arrow::ipc::RecordBatchFileReader;
  auto options = read_options();
  const auto schema = value_or_throw(Reader::Open(file, options), name)->schema();
  options.included_fields = find_columns(name, *schema, columns);
  auto next = [reader = value_or_throw(Reader::Open(file, options), name),
               index = 0]() mutable -> arrow::Result<std::shared_ptr<arrow::RecordBatch>> {
    if (index == reader->num_record_batches()) return nullptr;
    return reader->ReadRecordBatch(index++);
  };
  return value_or_throw(
      arrow::RecordBatchReader::MakeFromIterator(arrow::MakeFunctionIterator(std::move(next)), schema), name);
}

std::shared_ptr<arrow::RecordBatchReader> open_ipc_stream(const std::shared_ptr<arrow::io::ReadableFile>& file,
                                                          const std::string& name, const std::vector<Column>& columns) {
  using Reader = arrow::ipc::RecordBatchStreamReader;
  auto options = read_options();
  const std::shared_ptr<arrow::io::InputStream> stream = file;
  options.included_fields = find_columns(name, *value_or_throw(Reader::Open(stream, options), name)->schema(), columns);
  if (const auto status = file->Seek(0); !status.ok()) throw_read_error(name, status, "give a regular file");
  return value_or_throw(Reader::Open(stream, options), name);
}

}  // namespace

RecordBatches open_ipc_batches(const std::filesystem::path& path, const std::vector<Column>& columns) {
  const auto file = open_file(path);
  const std::string name = path.string();
  return {is_ipc_file(path) ? open_ipc_file(file, name, columns) : open_ipc_stream(file, name, columns),
          [file](std::uint64_t) {
            const auto place = static_cast<double>(file->Tell().ValueOr(0));
            return place / static_cast<double>(file->GetSize().ValueOr(1));
          }};
}

std::vector<int> find_columns(const std::string& file, const arrow::Schema& schema,
                              const std::vector<Column>& columns) {
  check_header(file, columns, schema.field_names());
  std::vector<int> places;
  for (const auto& column : columns) {
    const int place = schema.GetFieldIndex(column.name);
    if (place < 0) continue;
    const auto& type = *schema.field(place)->type();
    if (!has_text(type)) throw_problem(file, not_text(column, "the type " + type.ToString()));
    places.push_back(place);
  }
  return places;
}

std::int64_t rows_per_block(const std::vector<std::shared_ptr<arrow::Array>>& columns) {
  std::int64_t rows = 1, bytes = 1;
  for (const auto& column : columns) {
    if (column == nullptr) continue;
    rows = std::max(rows, column->length());
    bytes += arrow::util::ReferencedBufferSize(*column).ValueOr(0);
  }
  const double bytes_of_a_row = std::max(1.0, static_cast<double>(bytes) / static_cast<double>(rows));
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(static_cast<double>(kBlockBytes) / bytes_of_a_row));
}

}  // namespace lockstep::data
