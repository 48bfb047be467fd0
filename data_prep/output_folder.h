#pragma once

#include <filesystem>
#include <string>

namespace lockstep::data_prep {

/// Locks a folder against other lockstep-prep processes for the lifetime of the object.
class FolderLock {
 public:
  enum class Kind { kAlone, kWithOtherRanks };

  /// Creates the folder if necessary. Throws InputError if another process holds it, unless both are ranks of one run.
  FolderLock(const std::filesystem::path& folder, Kind kind);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

/// A folder that appears under its name complete or not at all: it is filled as a hidden sibling, which then replaces
/// the previous folder. The sibling's name identifies its content, so that several processes can fill it and a later
/// run finds what a killed one has left. The destructor removes an empty sibling.
class OutputFolder {
 public:
  /// `content` is a digest of everything that the folder's bytes depend on.
  OutputFolder(std::filesystem::path path, const std::string& content);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  /// Returns the folder to write into until commit().
  const std::filesystem::path& temporary_path() const { return temporary_path_; }
  /// Removes what was written and leaves an empty folder to start again.
  void clear();
  /// Removes what was written, and the temporary folder.
  void discard();
  /// Returns true for at most one of the processes that fill the folder; only that one may call commit().
  bool claim();
  /// Puts the folder in place. A previous folder of shards is removed; one that holds other files is kept under another
  /// name, with a warning.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_path_;
  int descriptor_ = -1;  // lock held by claim()
};

/// Returns true if `path` does not exist or is an empty folder.
bool is_missing_or_empty(const std::filesystem::path& path);

/// Removes the hidden siblings of `path` that killed runs have left, except the one for `content` (empty: all). The
/// caller must hold the parent folder exclusively.
void remove_leftovers(const std::filesystem::path& path, const std::string& content);

/// Removes a folder of shards, or moves it aside as OutputFolder::commit() does.
void remove_or_move_aside(const std::filesystem::path& path);

}  // namespace lockstep::data_prep
