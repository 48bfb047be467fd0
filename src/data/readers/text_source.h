#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace arrow {
class Status;
namespace io {
class InputStream;
class ReadableFile;
}  // namespace io
}  // namespace arrow

namespace lockstep::data {

/// Opens `path`. Throws as throw_system_error() in core/error.h does, and InputError if it is not a regular file.
std::shared_ptr<arrow::io::ReadableFile> open_file(const std::filesystem::path& path);

/// Throws the error for a failed read at `position`: the error of throw_system_error() if the system call failed, Error
/// if memory ran out, and otherwise InputError, ending in `remedy`, because the file's bytes are invalid.
[[noreturn]] void throw_read_error(const std::string& position, const arrow::Status& status, std::string_view remedy);

/// Returns the path without its extension .gz, .zst, .bz2 or .lz4, if it has one.
std::filesystem::path without_compression(const std::filesystem::path& path);

/// A file's text as a stream, decompressed if its name or its first bytes say that it is compressed.
class TextSource {
 public:
  explicit TextSource(const std::filesystem::path& path);

  const std::shared_ptr<arrow::io::InputStream>& stream() const { return stream_; }
  /// Reads up to `size` bytes and returns their number; 0 at the end.
  std::size_t read(char* data, std::size_t size);
  /// Returns the share of the file read so far, 0 to 1.
  double progress() const;

 private:
  std::string name_;
  std::shared_ptr<arrow::io::ReadableFile> file_;
  std::shared_ptr<arrow::io::InputStream> stream_;
  std::uint64_t file_bytes_ = 0;
};

/// A window of a text in memory, for readers that split it into rows. A byte order mark at the start is skipped.
class TextWindow {
 public:
  explicit TextWindow(const std::filesystem::path& path);

  /// Returns the text that is in memory and not consumed yet. Valid until extend().
  std::string_view unread() const { return {buffer_.data() + begin_, end_ - begin_}; }
  /// Returns the offset of unread() in the text, in bytes.
  std::uint64_t offset() const { return offset_; }
  void consume(std::size_t bytes) {
    begin_ += bytes;
    offset_ += bytes;
  }
  /// Reads more text into unread(). Returns false at the end of the text. Throws InputError, beginning with `position`,
  /// if a row does not end within 64 MB.
  bool extend(const std::string& position);
  double progress() const { return source_.progress(); }

 private:
  TextSource source_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::uint64_t offset_ = 0;
};

}  // namespace lockstep::data
