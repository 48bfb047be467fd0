#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include "hub/model_name.h"
#include "lockstep/hub/resolve.h"

namespace lockstep::hub {

/// Says how much of a commit the cache holds.
enum class SnapshotState {
  kIncomplete,
  kUsable,    // enough to load the model; it is unknown whether the model has more files
  kComplete,  // every needed file that the model has
};

/// Returns a suffix for names of files that only this process uses. A process id by itself is not unique where several
/// nodes share the folder.
std::string unique_suffix();

/// A model in the cache, in huggingface_hub's layout (file_download.py, _snapshot_download.py):
///   models--ORG--NAME/blobs/ETAG                the contents; ETAG.incomplete during the download
///   models--ORG--NAME/snapshots/COMMIT/FILE     -> ../../blobs/ETAG
///   models--ORG--NAME/refs/REVISION             the commit of a branch or tag
///   models--ORG--NAME/.no_exist/COMMIT/FILE     empty: the commit has no such file
///   models--ORG--NAME/trees/COMMIT.json         huggingface_hub's list of all files of the commit
///   .locks/models--ORG--NAME/ETAG.lock          held during the download of a blob
class CachedModel {
 public:
  CachedModel(std::filesystem::path cache, ModelName name);

  const ModelName& name() const { return name_; }
  const std::filesystem::path& cache() const { return cache_; }
  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path snapshot(const std::string& commit) const { return folder_ / "snapshots" / commit; }
  std::filesystem::path blob(const std::string& etag) const { return folder_ / "blobs" / etag; }
  std::filesystem::path lock(const std::string& etag) const;

  /// Returns the commit of the name's revision, or none if the cache does not know it.
  std::optional<std::string> commit() const;
  SnapshotState state(const std::string& commit, ModelFiles files) const;

  /// Makes `file` of the commit a link to the blob.
  void link(const std::string& commit, const std::string& file, const std::string& etag) const;
  void note_absent(const std::string& commit, const std::string& file) const;
  /// Makes the name's revision refer to `commit`. Must be called last, so that a revision always refers to a complete
  /// commit.
  void write_ref(const std::string& commit) const;

 private:
  std::filesystem::path cache_;
  ModelName name_;
  std::filesystem::path folder_;
};

}  // namespace lockstep::hub
