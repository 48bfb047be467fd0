#include "data/readers/text_source.h"

#include <arrow/io/compressed.h>
#include <arrow/io/file.h>
#include <arrow/result.h>
#include <arrow/util/compression.h>
#include <arrow/util/io_util.h>
#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <utility>

#include "lockstep/core/error.h"

namespace lockstep::data {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::size_t kReadBytes = 256 << 10;
constexpr std::size_t kMaxRowBytes = 64 << 20;

constexpr std::array<std::pair<std::string_view, arrow::Compression::type>, 4> kCompressions{{
    {".gz", arrow::Compression::GZIP},
    {".zst", arrow::Compression::ZSTD},
    {".bz2", arrow::Compression::BZ2},
    {".lz4", arrow::Compression::LZ4_FRAME},
}};

// The first bytes of compressed files, whatever their names are.
constexpr std::array<std::pair<std::string_view, arrow::Compression::type>, 3> kMagics{{
    {"\x1F\x8B", arrow::Compression::GZIP},
    {"\x28\xB5\x2F\xFD", arrow::Compression::ZSTD},
    {"\x04\x22\x4D\x18", arrow::Compression::LZ4_FRAME},
}};
constexpr std::string_view kBzip2Start = "BZh", kBzip2Block = "1AY&SY";  // a digit is between them
constexpr std::string_view kLfsPointer = "version https://git-lfs.github.com/spec/";

// Leaves the file at its beginning. Returns nothing for a pipe, whose bytes can be read only once.
std::string first_bytes(arrow::io::ReadableFile& file) {
  if (file.GetSize().ValueOr(0) == 0) return {};
  std::string bytes(kLfsPointer.size(), '\0');
  const auto count = file.ReadAt(0, static_cast<std::int64_t>(bytes.size()), bytes.data());
  bytes.resize(static_cast<std::size_t>(count.ValueOr(0)));  // reading the file will report what failed
  return file.Seek(0).ok() ? bytes : "";
}

// Git LFS leaves a small text in place of a file that was not fetched.
void refuse_lfs_pointer(arrow::io::ReadableFile& file, const fs::path& path) {
  if (first_bytes(file) != kLfsPointer) return;
  throw InputError(fmt::format(
      "{}: expected a dataset file, found a pointer of Git LFS; fetch the file with git lfs pull", path.string()));
}

arrow::Compression::type compression_of(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const auto& [name, compression] : kCompressions) {
    if (extension == name) return compression;
  }
  return arrow::Compression::UNCOMPRESSED;
}

}  // namespace

std::shared_ptr<arrow::io::ReadableFile> open_file(const fs::path& path) {
  auto file = arrow::io::ReadableFile::Open(path.string());
  if (file.ok()) {
    refuse_lfs_pointer(**file, path);
    return *file;
  }
  const int error_number = arrow::internal::ErrnoFromStatus(file.status());
  if (error_number != 0) core::throw_system_error("open", path, error_number);
  throw InputError(fmt::format("{}: {}; give a regular file", path.string(), file.status().message()));
}

void throw_read_error(const std::string& position, const arrow::Status& status, std::string_view remedy) {
  if (const int error_number = arrow::internal::ErrnoFromStatus(status); error_number != 0) {
    core::throw_system_error("read", position, error_number);
  }
  if (status.IsOutOfMemory()) throw Error(fmt::format("{}: {}", position, status.message()));
  throw InputError(fmt::format("{}: {}; {}", position, status.message(), remedy));
}

fs::path without_compression(const fs::path& path) {
  return compression_of(path) == arrow::Compression::UNCOMPRESSED ? path : fs::path(path).replace_extension();
}

TextSource::TextSource(const fs::path& path) : name_(path.string()), file_(open_file(path)), stream_(file_) {
  file_bytes_ = static_cast<std::uint64_t>(file_->GetSize().ValueOr(0));
  auto compression = compression_of(path);
  if (compression == arrow::Compression::UNCOMPRESSED) {
    const std::string start = first_bytes(*file_);
    for (const auto& [magic, kind] : kMagics) {
      if (start.starts_with(magic)) compression = kind;
    }
    const bool is_bzip2 = start.starts_with(kBzip2Start) && start.find(kBzip2Block) == kBzip2Start.size() + 1;
    if (is_bzip2) compression = arrow::Compression::BZ2;
  }
  if (compression == arrow::Compression::UNCOMPRESSED) return;
  auto codec = arrow::util::Codec::Create(compression);
  if (!codec.ok()) throw Error(fmt::format("{}: {}; decompress the file", name_, codec.status().message()));
  auto stream = arrow::io::CompressedInputStream::Make(codec->get(), file_);
  if (!stream.ok()) throw Error(fmt::format("{}: {}", name_, stream.status().message()));
  stream_ = *stream;
}

std::size_t TextSource::read(char* data, std::size_t size) {
  const auto count = stream_->Read(static_cast<std::int64_t>(size), data);
  if (!count.ok()) throw_read_error(name_, count.status(), "the file is damaged or truncated; create it again");
  return static_cast<std::size_t>(*count);
}

double TextSource::progress() const {
  const auto position = file_->Tell();
  if (!position.ok() || file_bytes_ == 0) return 0;
  return std::min(1.0, static_cast<double>(*position) / static_cast<double>(file_bytes_));
}

TextWindow::TextWindow(const fs::path& path) : source_(path), buffer_(2 * kReadBytes) {
  extend(path.string());
  if (unread().starts_with(kByteOrderMark)) consume(kByteOrderMark.size());
}

bool TextWindow::extend(const std::string& position) {
  const std::size_t unread_bytes = end_ - begin_;
  if (unread_bytes > kMaxRowBytes) {
    throw InputError(
        fmt::format("{}: expected a row of at most {} MB after it, found a longer one, perhaps a quote or bracket that "
                    "is never closed; correct or split the row",
                    position, kMaxRowBytes >> 20));
  }
  std::memmove(buffer_.data(), buffer_.data() + begin_, unread_bytes);
  begin_ = 0;
  end_ = unread_bytes;
  if (buffer_.size() < unread_bytes + kReadBytes) buffer_.resize(2 * buffer_.size());
  const std::size_t count = source_.read(buffer_.data() + end_, kReadBytes);
  end_ += count;
  return count > 0;
}

}  // namespace lockstep::data
