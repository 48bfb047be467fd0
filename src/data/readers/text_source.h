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

/// Opens `path`. Throws InputError or Error, as throw_system_error does.
std::shared_ptr<arrow::io::ReadableFile> open_file(const std::filesystem::path& path);

/// Throws what a failed read of `path` means: Error if the system refused it, InputError (`remedy` ends it) if the
/// file's bytes are not what they should be.
[[noreturn]] void throw_read_error(const std::string& position, const arrow::Status& status, std::string_view remedy);

/// The name without the ending .gz, .zst, .bz2 or .lz4, if it has one.
std::filesystem::path without_compression(const std::filesystem::path& path);

/// A file's text as a stream, decompressed where its name says so.
class TextSource {
 public:
  explicit TextSource(const std::filesystem::path& path);

  const std::shared_ptr<arrow::io::InputStream>& stream() const { return stream_; }
  /// Reads up to `size` bytes; 0 at the end.
  std::size_t read(char* data, std::size_t size);
  /// Share of the file read so far, 0 to 1.
  double progress() const;

 private:
  std::string name_;
  std::shared_ptr<arrow::io::ReadableFile> file_;
  std::shared_ptr<arrow::io::InputStream> stream_;
  std::uint64_t file_bytes_ = 0;
};

/// The part of a text that is in memory, for readers that cut it into rows. A byte order mark at the start is skipped.
class TextWindow {
 public:
  explicit TextWindow(const std::filesystem::path& path);

  /// Valid until extend().
  std::string_view unread() const { return {buffer_.data() + begin_, end_ - begin_}; }
  /// The place of unread() in the text, in bytes.
  std::uint64_t offset() const { return offset_; }
  void consume(std::size_t bytes) {
    begin_ += bytes;
    offset_ += bytes;
  }
  /// Makes unread() longer; false at the end of the text. Throws InputError, beginning with `position`, if a row does
  /// not end within 64 MB.
  bool extend(const std::string& position);
  double progress() const { return source_.progress(); }

 private:
  TextSource source_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::uint64_t offset_ = 0;
};

}  // namespace lockstep::data
