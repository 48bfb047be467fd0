#pragma once

#include <filesystem>
#include <string>

namespace lockstep::data_prep {

/// Keeps other lockstep-prep processes out of a folder while it lives.
class FolderLock {
 public:
  enum class Kind { alone, with_other_ranks };

  /// Creates the folder if need be. Throws InputError if another process holds it, unless both are ranks.
  FolderLock(const std::filesystem::path& folder, Kind kind);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

/// A folder that appears under its name complete or not at all: filled as a hidden sibling, then put in place of what
/// was there. The sibling's name tells what it is filled with, so that it can be filled by several processes and a
/// later run finds what a killed one has left of the same. An empty one goes with the destructor.
class OutputFolder {
 public:
  /// `content` is a digest of what the folder is made from.
  OutputFolder(std::filesystem::path path, const std::string& content);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  /// Where to write until commit().
  const std::filesystem::path& temporary_path() const { return temporary_path_; }
  /// Throws away what was written, to begin again.
  void clear();
  /// Throws away what was written, for good.
  void discard();
  /// True for one process of those that fill the folder, which alone may commit() then.
  bool claim();
  /// An earlier folder of shards is removed; one that holds files of others is kept under another name, with a warning.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_path_;
  int descriptor_ = -1;  // of the claim
};

/// True if there is nothing at `path`, or an empty folder.
bool is_vacant(const std::filesystem::path& path);

/// Removes the hidden siblings that killed runs have left beside `path`, except the one for `content` (empty: all).
/// Only for a process that holds the parent folder alone.
void remove_leftovers(const std::filesystem::path& path, const std::string& content);

/// Removes a folder of shards, or moves it aside as OutputFolder::commit() does.
void retire_folder(const std::filesystem::path& path);

}  // namespace lockstep::data_prep
