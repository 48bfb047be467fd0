#include "data_prep/output_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/data/shards/manifest.h"

namespace lockstep::data_prep {
namespace {

namespace fs = std::filesystem;

// Returns true for files that ShardWriter writes, also if it was killed halfway.
bool is_shard_file(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with(data::Manifest::kFileName) ||
         (name.starts_with("shard-") && name.find(".h5") != std::string::npos);
}

bool holds_only_shards(const fs::path& folder) {
  if (!fs::is_directory(folder)) return false;
  return std::ranges::all_of(fs::directory_iterator(folder), [](const auto& entry) { return is_shard_file(entry); });
}

fs::path hidden_sibling(const fs::path& path, std::string_view suffix) {
  return path.parent_path() / fmt::format(".{}.{}", path.filename().string(), suffix);
}

fs::path partial_sibling(const fs::path& path, const std::string& content) {
  return hidden_sibling(path, content.substr(0, 16) + ".partial");
}

void move(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) core::throw_system_error("rename " + from.string() + " into", to, error.value());
}

void move_aside(const fs::path& path) {
  fs::path aside;
  for (int i = 1; aside.empty() || fs::exists(aside); ++i) aside = fmt::format("{}.old-{}", path.string(), i);
  move(path, aside);
  spdlog::warn("{} held files that lockstep-prep did not write; they are now in {}", path.string(), aside.string());
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder, Kind kind) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) core::throw_system_error("create the folder", folder, error.value());
  descriptor_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) core::throw_system_error("open the folder", folder, errno);
  // A file system without locks fails with another error; the lock is then done without.
  if (::flock(descriptor_, (kind == Kind::kAlone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(descriptor_);
    throw InputError(fmt::format("{}: another lockstep-prep is writing here; wait for it, or give another prepared_dir",
                                 folder.string()));
  }
}

FolderLock::~FolderLock() { ::close(descriptor_); }

OutputFolder::OutputFolder(fs::path path, const std::string& content)
    : path_(std::move(path)), temporary_path_(partial_sibling(path_, content)) {
  std::error_code error;
  fs::create_directories(temporary_path_, error);
  if (error) core::throw_system_error("create the folder", temporary_path_, error.value());
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  fs::remove(temporary_path_, ignored);  // only if it is empty: finished shards are kept for the next run
  if (descriptor_ >= 0) ::close(descriptor_);
}

void OutputFolder::clear() {
  discard();
  std::error_code error;
  fs::create_directories(temporary_path_, error);
  if (error) core::throw_system_error("create the folder", temporary_path_, error.value());
}

void OutputFolder::discard() {
  std::error_code error;
  fs::remove_all(temporary_path_, error);
  if (error) core::throw_system_error("remove the folder", temporary_path_, error.value());
}

bool OutputFolder::claim() {
  descriptor_ = ::open(temporary_path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) return false;  // another process has committed it
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
  struct stat held {
  }, named{};
  return ::fstat(descriptor_, &held) == 0 && ::stat(temporary_path_.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

void OutputFolder::commit() {
  core::sync_folder(temporary_path_);  // makes the file names durable before the set can count as complete
  if (fs::exists(path_) && !holds_only_shards(path_)) move_aside(path_);
  // Exchanges the names if the file system can, so that the folder exists at all times.
  if (::renameat2(AT_FDCWD, temporary_path_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) != 0) {
    if (fs::exists(path_)) remove_or_move_aside(path_);
    move(temporary_path_, path_);
  }
  core::sync_folder(path_.parent_path());
  std::error_code ignored;
  fs::remove_all(temporary_path_, ignored);  // the previous content
}

bool is_missing_or_empty(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return true;
  return fs::is_directory(path, error) && fs::is_empty(path, error);
}

void remove_leftovers(const fs::path& path, const std::string& content) {
  const std::string kept = content.empty() ? "" : partial_sibling(path, content).filename().string();
  const std::string start = fmt::format(".{}.", path.filename().string());
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path.parent_path())) {
    const std::string name = entry.path().filename().string();
    if (name == kept || !name.starts_with(start)) continue;
    if (name.ends_with(".partial") || name.ends_with(".removed")) fs::remove_all(entry.path(), ignored);
  }
}

void remove_or_move_aside(const fs::path& path) {
  if (!holds_only_shards(path)) return move_aside(path);
  const fs::path doomed = hidden_sibling(path, "removed");  // renamed first: no half-removed dataset is visible
  std::error_code error;
  fs::remove_all(doomed, error);
  move(path, doomed);
  fs::remove_all(doomed, error);
}

}  // namespace lockstep::data_prep
