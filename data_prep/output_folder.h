#pragma once

#include <filesystem>
#include <memory>

namespace lockstep {

/// Keeps other lockstep-prep processes out of a folder while it lives.
class FolderLock {
 public:
  /// Creates the folder if need be. Throws InputError if another process holds it.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

/// A folder that appears under its name complete or not at all: filled as a hidden sibling, then put in place of what
/// was there. Without commit() the destructor removes the sibling.
class OutputFolder {
 public:
  /// Removes what a killed run has left of the sibling.
  explicit OutputFolder(std::filesystem::path path);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Where to write until commit().
  const std::filesystem::path& temporary_path() const { return temporary_path_; }
  /// An earlier folder of shards is removed; one that holds files of others is kept under another name, with a warning.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_path_;
};

/// True if there is nothing at `path`, or an empty folder.
bool is_vacant(const std::filesystem::path& path);

/// Removes a folder of shards, or moves it aside as OutputFolder::commit() does.
void retire_folder(const std::filesystem::path& path);

}  // namespace lockstep
