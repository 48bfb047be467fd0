#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace lockstep::core {

/// A file that appears under its name complete or not at all: written beside it under a temporary
/// name, synced to disk, then renamed over. Without commit() the destructor removes the temporary file.
class AtomicFile {
 public:
  /// Creates missing parent folders. Throws Error if the file cannot be made, InputError if `path` is a folder.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Throws Error naming the file and the reason, e.g. a full disk.
  void write(std::string_view bytes);
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_path_;
  int descriptor_ = -1;
};

/// Writes the whole of `bytes` as an AtomicFile.
void write_file(const std::filesystem::path& path, std::string_view bytes);

/// A new or renamed file survives a power cut only once the folder that holds its name is on disk, too. File systems
/// that cannot do that are left alone.
void sync_folder(const std::filesystem::path& folder);

/// The whole file. Throws InputError naming it if it cannot be read.
std::string read_file(const std::filesystem::path& path);

}  // namespace lockstep::core
