#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include "hub/model_name.h"
#include "lockstep/hub/resolve.h"

namespace lockstep::hub {

/// How much of a commit the cache holds.
enum class SnapshotState {
  incomplete,
  usable,    // what loading a model needs; whether the model has further files is not known
  complete,  // every needed file that the model has
};

/// For the name of a file of this process's own. A process's number alone is not unique where nodes share the folder.
std::string unique_suffix();

/// A model in the cache, laid out as huggingface_hub has it (file_download.py, _snapshot_download.py):
///   models--ORG--NAME/blobs/ETAG                the contents; ETAG.incomplete while they are fetched
///   models--ORG--NAME/snapshots/COMMIT/FILE     -> ../../blobs/ETAG
///   models--ORG--NAME/refs/REVISION             the commit of a branch or tag
///   models--ORG--NAME/.no_exist/COMMIT/FILE     empty: the commit has no such file
///   models--ORG--NAME/trees/COMMIT.json         huggingface_hub's list of all files of the commit
///   .locks/models--ORG--NAME/ETAG.lock          held while a blob is fetched
class CachedModel {
 public:
  CachedModel(std::filesystem::path cache, ModelName name);

  const ModelName& name() const { return name_; }
  const std::filesystem::path& cache() const { return cache_; }
  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path snapshot(const std::string& commit) const { return folder_ / "snapshots" / commit; }
  std::filesystem::path blob(const std::string& etag) const { return folder_ / "blobs" / etag; }
  std::filesystem::path lock(const std::string& etag) const;

  /// The commit of the name's revision, as far as the cache knows it.
  std::optional<std::string> commit() const;
  SnapshotState state(const std::string& commit, ModelFiles files) const;

  /// Makes `file` of the commit be the blob.
  void link(const std::string& commit, const std::string& file, const std::string& etag) const;
  void note_absent(const std::string& commit, const std::string& file) const;
  /// Makes the name's revision be `commit`. To be called last: what a revision names is complete.
  void write_ref(const std::string& commit) const;

 private:
  std::filesystem::path cache_;
  ModelName name_;
  std::filesystem::path folder_;
};

}  // namespace lockstep::hub
