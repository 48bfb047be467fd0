#include "data/readers/file_reader.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>
#include <utility>

#include "data/readers/arrow_reader.h"
#include "data/readers/csv_reader.h"
#include "data/readers/json_array_reader.h"
#include "data/readers/json_lines_reader.h"
#include "data/readers/text_source.h"
#include "lockstep/core/error.h"

namespace lockstep::data {
namespace {

namespace fs = std::filesystem;

enum class FileKind { kJsonLines, kJson, kCsv, kTsv, kParquet, kArrow };

constexpr std::array<std::pair<std::string_view, FileKind>, 7> kKinds{{
    {".jsonl", FileKind::kJsonLines},
    {".ndjson", FileKind::kJsonLines},
    {".json", FileKind::kJson},
    {".csv", FileKind::kCsv},
    {".tsv", FileKind::kTsv},
    {".parquet", FileKind::kParquet},
    {".arrow", FileKind::kArrow},
}};

FileKind file_kind(const fs::path& path) {
  const fs::path text_path = without_compression(path);
  std::string extension = text_path.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const auto& [known, kind] : kKinds) {
    if (extension != known) continue;
    const bool compressed = text_path != path;
    if (!compressed || (kind != FileKind::kParquet && kind != FileKind::kArrow)) return kind;
    throw InputError(
        fmt::format("{}: expected {} uncompressed, found it compressed; decompress it", path.string(), known));
  }
  throw InputError(
      fmt::format("{}: expected a dataset file, found {}; supported are .jsonl, .ndjson, .json, .csv and .tsv (also "
                  "compressed, with .gz, .zst, .bz2 or .lz4 appended), .parquet and .arrow",
                  path.string(), extension.empty() ? "a name without extension" : "the extension " + extension));
}

class FilesBlocks final : public CellBlocks {
 public:
  FilesBlocks(std::vector<fs::path> files, std::vector<Column> columns, const CsvDialect& dialect)
      : files_(std::move(files)), columns_(std::move(columns)), dialect_(dialect) {
    open_next();
  }

  std::unique_ptr<CellReader> next() override {
    while (blocks_ != nullptr) {
      if (auto block = blocks_->next()) return block;
      open_next();
    }
    return nullptr;
  }
  double progress() const override {
    if (!blocks_) return 1;
    return (static_cast<double>(opened_ - 1) + blocks_->progress()) / static_cast<double>(files_.size());
  }

 private:
  void open_next() { blocks_ = opened_ < files_.size() ? open_cells(files_[opened_++], columns_, dialect_) : nullptr; }

  std::vector<fs::path> files_;
  std::vector<Column> columns_;
  CsvDialect dialect_;
  std::size_t opened_ = 0;
  std::unique_ptr<CellBlocks> blocks_;  // null after the last file
};

}  // namespace

void check_file_kind(const fs::path& path) { file_kind(path); }

std::unique_ptr<CellBlocks> open_cells(const fs::path& path, const std::vector<Column>& columns,
                                       const CsvDialect& dialect) {
  switch (file_kind(path)) {
    case FileKind::kJsonLines:
      return open_json_lines(path, columns);
    case FileKind::kJson:
      return holds_json_array(path) ? open_json_array(path, columns) : open_json_lines(path, columns);
    case FileKind::kCsv:
      return open_csv(path, columns, dialect, ',');
    case FileKind::kTsv:
      return open_csv(path, columns, dialect, '\t');
    case FileKind::kParquet:
      return open_parquet(path, columns);
    case FileKind::kArrow:
      return open_arrow(path, columns);
  }
  throw Error(fmt::format("{}: no reader for this kind of file", path.string()));
}

std::unique_ptr<CellBlocks> open_cells(const std::vector<fs::path>& files, const std::vector<Column>& columns,
                                       const CsvDialect& dialect) {
  if (files.size() == 1) return open_cells(files.front(), columns, dialect);
  return std::make_unique<FilesBlocks>(files, columns, dialect);
}

}  // namespace lockstep::data
