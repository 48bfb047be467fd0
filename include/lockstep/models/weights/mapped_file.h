#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace lockstep::models {

/// Maps a whole file into memory, read-only.
class MappedFile {
 public:
  /// Maps the file. Throws InputError or Error, naming the file, if it is missing or cannot be mapped.
  explicit MappedFile(std::filesystem::path path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string_view bytes() const { return {data_, size_}; }

 private:
  std::filesystem::path path_;
  const char* data_ = nullptr;
  std::uint64_t size_ = 0;
};

}  // namespace lockstep::models
