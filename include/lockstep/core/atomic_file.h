#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace lockstep::core {

/// Writes a file that appears under its name either complete or not at all. The bytes go to a temporary file in the
/// same folder; commit() syncs it to disk and renames it. Without commit(), the destructor removes the temporary file.
class AtomicFile {
 public:
  /// Opens the temporary file and creates missing parent folders. Throws Error if the file cannot be created,
  /// InputError if `path` is a folder.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends `bytes`. Throws Error, naming the file and the reason (e.g. a full disk), if that fails.
  void write(std::string_view bytes);
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_path_;
  int descriptor_ = -1;
};

/// Writes `bytes` as the whole content of the file, through an AtomicFile.
void write_file(const std::filesystem::path& path, std::string_view bytes);

/// Removes a file if it exists. Throws Error if that fails.
void remove_file(const std::filesystem::path& path);

/// Syncs a folder to disk: a new or renamed file survives a power cut only once its folder's entry is on disk, too.
/// Does nothing on file systems that cannot sync a folder.
void sync_folder(const std::filesystem::path& folder);

/// Returns the content of the file. Throws InputError, naming the file, if it is missing or may not be read; Error for
/// other failures.
std::string read_file(const std::filesystem::path& path);

}  // namespace lockstep::core
