#include "hub/cache.h"

#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <random>
#include <utility>

#include "hub/model_files.h"
#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/json.h"

namespace lockstep::hub {
namespace {

namespace fs = std::filesystem;

std::string folder_name(const std::string& repository) {
  std::string name = "models--" + repository;
  if (const std::size_t slash = name.find('/'); slash != std::string::npos) name.replace(slash, 1, "--");
  return name;
}

void create_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) core::throw_system_error("create the folder", folder, error.value());
}

void rename_into_place(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) core::throw_system_error("rename into place", to, errno);
}

// Collects what is known about one commit without using the network.
class SnapshotContents {
 public:
  SnapshotContents(const fs::path& model, const std::string& commit)
      : snapshot_(model / "snapshots" / commit), absent_(model / ".no_exist" / commit) {
    const fs::path tree = model / "trees" / (commit + ".json");
    std::error_code error;
    if (!fs::exists(tree, error)) return;
    try {
      listed_.emplace();
      const Json json = core::read_json_file(tree);
      for (const auto& file : json.at("files").items()) listed_->insert(file.key());
    } catch (const std::exception&) {
      listed_.reset();  // written by another version: ignored
    }
  }

  bool has(std::string_view file) const { return exists(snapshot_ / file); }
  // Returns true if the commit is known not to have the file.
  bool is_known_absent(const std::string& file) const {
    return (listed_ && !listed_->contains(file)) || exists(absent_ / file);
  }
  const fs::path& snapshot() const { return snapshot_; }

 private:
  // A dangling link does not count as a file.
  static bool exists(const fs::path& path) {
    std::error_code error;
    return fs::exists(path, error);
  }

  fs::path snapshot_, absent_;
  std::optional<std::set<std::string>> listed_;
};

SnapshotState state_of_description(const SnapshotContents& known) {
  const auto has_any = [&](const auto&... files) { return (known.has(files) || ...); };
  const bool has_tokenizer =
      has_any("tokenizer.json", "spiece.model", "tokenizer.model", "vocab.json", "tokenizer_config.json");
  if (!has_tokenizer || !(known.has("config.json") || known.is_known_absent("config.json")))
    return SnapshotState::kIncomplete;
  const bool all_known = std::ranges::all_of(
      description_files(), [&](const auto& file) { return known.has(file) || known.is_known_absent(file); });
  return all_known ? SnapshotState::kComplete : SnapshotState::kUsable;
}

SnapshotState state_of_weights(const SnapshotContents& known) {
  SnapshotState state = SnapshotState::kComplete;
  for (const auto& [name, is_index] : weights_files()) {
    if (!known.has(name)) {
      // The model may have weights in a preferred format.
      if (!known.is_known_absent(std::string(name))) state = SnapshotState::kUsable;
      continue;
    }
    if (!is_index) return state;
    const auto shards = files_of_index(known.snapshot() / name);
    const bool has_all = std::ranges::all_of(shards, [&](const auto& shard) { return known.has(shard); });
    return has_all ? state : SnapshotState::kIncomplete;
  }
  return SnapshotState::kIncomplete;
}

}  // namespace

std::string unique_suffix() {
  std::random_device device;
  return fmt::format("{}-{:08x}", ::getpid(), device());
}

CachedModel::CachedModel(fs::path cache, ModelName name)
    : cache_(std::move(cache)), name_(std::move(name)), folder_(cache_ / folder_name(name_.repository)) {}

fs::path CachedModel::lock(const std::string& etag) const {
  return cache_ / ".locks" / folder_.filename() / (etag + ".lock");
}

std::optional<std::string> CachedModel::commit() const {
  if (is_commit(name_.revision)) return name_.revision;
  const fs::path ref = folder_ / "refs" / name_.revision;
  std::error_code error;
  if (!fs::is_regular_file(ref, error)) return std::nullopt;
  std::string commit = core::read_file(ref);
  while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back())) != 0) commit.pop_back();
  return is_commit(commit) ? std::optional(commit) : std::nullopt;
}

SnapshotState CachedModel::state(const std::string& commit, ModelFiles files) const {
  const SnapshotContents known(folder_, commit);
  const SnapshotState description = state_of_description(known);
  return files == ModelFiles::kWithoutWeights ? description : std::min(description, state_of_weights(known));
}

void CachedModel::link(const std::string& commit, const std::string& file, const std::string& etag) const {
  const fs::path pointer = snapshot(commit) / file;
  const fs::path target = fs::path("..") / ".." / "blobs" / etag;
  create_folder(pointer.parent_path());
  std::error_code error;
  if (fs::read_symlink(pointer, error) == target) return;
  // The link is made outside the snapshots, where one that a killed process leaves does no harm.
  const fs::path fresh = folder_ / fmt::format(".link.{}", unique_suffix());
  if (::symlink(target.c_str(), fresh.c_str()) == 0) return rename_into_place(fresh, pointer);
  if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS) core::throw_system_error("link", pointer, errno);
  rename_into_place(blob(etag), pointer);  // huggingface_hub does the same on file systems without links
}

void CachedModel::note_absent(const std::string& commit, const std::string& file) const {
  const fs::path note = folder_ / ".no_exist" / commit / file;
  std::error_code error;
  if (!fs::exists(note, error)) core::write_file(note, "");
}

void CachedModel::write_ref(const std::string& commit) const {
  if (is_commit(name_.revision) || this->commit() == commit) return;
  const fs::path ref = folder_ / "refs" / name_.revision;
  create_folder(ref.parent_path());
  // huggingface_hub treats every file below refs/ as a revision.
  const fs::path fresh = folder_ / fmt::format(".ref.{}", unique_suffix());
  core::write_file(fresh, commit);
  rename_into_place(fresh, ref);
}

}  // namespace lockstep::hub
