#include "hub/download.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>

#include "hub/retries.h"
#include "lockstep/core/digest.h"

namespace lockstep::hub {
namespace {

namespace fs = std::filesystem;

constexpr int kAttempts = 6;
constexpr std::size_t kGitDigits = 40, kSha256Digits = 64;

void create_folder_of(const fs::path& file) {
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  if (error) core::throw_system_error("create the folder", file.parent_path(), error.value());
}

fs::path incomplete_path(const fs::path& blob) { return blob.string() + ".incomplete"; }

bool holds(const fs::path& blob, const std::optional<std::uint64_t>& size) {
  std::error_code error;
  if (!fs::is_regular_file(blob, error)) return false;
  return !size || fs::file_size(blob, error) == *size;
}

// Held by one process at a time, in the way of filelock, which huggingface_hub uses. On file systems without locks it
// excludes nobody, which only costs bandwidth: see IncompleteFile.
class BlobLock {
 public:
  BlobLock(const fs::path& path, const std::string& file) {
    create_folder_of(path);
    do {
      if (descriptor_ >= 0) ::close(descriptor_);
      descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0664);
      if (descriptor_ < 0) core::throw_system_error("open", path, errno);
      if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) continue;
      spdlog::info("{}: another process is downloading it; waiting", file);
      while (::flock(descriptor_, LOCK_EX) != 0 && errno == EINTR) {
      }
    } while (is_gone());
  }
  ~BlobLock() { ::close(descriptor_); }
  BlobLock(const BlobLock&) = delete;
  BlobLock& operator=(const BlobLock&) = delete;

 private:
  // Returns true if the lock file was removed meanwhile: the next process would create and lock another one.
  bool is_gone() const {
    struct stat status {};
    return ::fstat(descriptor_, &status) == 0 && status.st_nlink == 0;
  }

  int descriptor_ = -1;
};

// Holds the beginning of a blob. Every writer puts the same bytes at the same positions and none truncates the file, so
// two writers do no harm where the lock does not work.
class IncompleteFile {
 public:
  explicit IncompleteFile(fs::path path) : path_(std::move(path)) {
    create_folder_of(path_);
    open();
  }
  ~IncompleteFile() { ::close(descriptor_); }
  IncompleteFile(const IncompleteFile&) = delete;
  IncompleteFile& operator=(const IncompleteFile&) = delete;

  // Returns a path to the content of the open file, whatever its name refers to now.
  fs::path content() const { return fmt::format("/proc/self/fd/{}", descriptor_); }

  std::uint64_t size() const { return static_cast<std::uint64_t>(status().st_size); }

  void write(std::uint64_t position, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(position));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) core::throw_system_error("write", path_, errno);
      bytes.remove_prefix(static_cast<std::size_t>(count));
      position += static_cast<std::uint64_t>(count);
    }
  }

  void start_anew() {
    discard();
    ::close(descriptor_);
    open();
  }

  void discard() { ::unlink(path_.c_str()); }

  // Syncs the file to disk and then gives it the name `blob`.
  void publish(const fs::path& blob) {
    if (::fsync(descriptor_) != 0) core::throw_system_error("sync to disk", path_, errno);
    // Another process may have created a new file under the same name.
    const fs::path own = fmt::format("{}.{}.incomplete", blob.string(), unique_suffix());
    const bool linked =
        ::linkat(AT_FDCWD, content().c_str(), AT_FDCWD, own.c_str(), AT_SYMLINK_FOLLOW) == 0;  // false: no hard links
    if (!linked && !is_named()) {
      throw Error(fmt::format(
          "{}: expected to be the only process that writes it, found the file of another process; start again",
          path_.string()));
    }
    if (::rename(linked ? own.c_str() : path_.c_str(), blob.c_str()) != 0 && !fs::exists(blob)) {
      core::throw_system_error("rename into place", blob, errno);
    }
    if (linked && is_named()) discard();
  }

 private:
  void open() {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) core::throw_system_error("create", path_, errno);
  }

  struct stat status() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) core::throw_system_error("read the size of", path_, errno);
    return status;
  }

  bool is_named() const {
    struct stat named {};
    const struct stat held = status();
    return ::stat(path_.c_str(), &named) == 0 && named.st_ino == held.st_ino && named.st_dev == held.st_dev;
  }

  fs::path path_;
  int descriptor_ = -1;
};

// Downloads one blob into the cache.
class BlobDownload {
 public:
  BlobDownload(HubClient& client, const std::string& commit, const HubClient::File& file, const fs::path& blob,
               const std::function<void(std::uint64_t)>& on_bytes)
      : client_(client),
        commit_(commit),
        file_(file),
        blob_(blob),
        on_bytes_(on_bytes),
        incomplete_(incomplete_path(blob)),
        reached_(incomplete_.size()) {}

  void run() {
    fetch_rest();
    if (std::string problem = damage(); !problem.empty()) {
      spdlog::warn("{}: {}; fetching it again", file_.name, problem);
      incomplete_.start_anew();
      reached_ = 0;
      fetch_rest();
      problem = damage();
      if (!problem.empty()) {
        incomplete_.discard();
        throw Error(fmt::format("{}: {}; check whether a proxy alters the responses of {}", file_.name, problem,
                                client_.settings().endpoint));
      }
    }
    incomplete_.publish(blob_);
  }

 private:
  void fetch_rest() {
    Retries retries(kAttempts);
    for (bool done = is_whole(); !done;) {
      const std::uint64_t before = reached_;
      try {
        if (!file_.size || incomplete_.size() > *file_.size)
          incomplete_.start_anew();  // there is nothing to resume from
        client_.fetch(commit_, file_.name, incomplete_.size(),
                      [&](std::uint64_t position, std::string_view bytes) { take(position, bytes); });
        done = true;
      } catch (const TransferFailed& failure) {
        if (reached_ > before) retries.reset();
        done = is_whole();
        if (!done && !retries.wait(fmt::format("{}: {}", file_.name, failure.what()), failure.retry_after_s())) throw;
      }
    }
  }

  bool is_whole() const { return file_.size && incomplete_.size() == *file_.size; }

  void take(std::uint64_t position, std::string_view bytes) {
    incomplete_.write(position, bytes);
    const std::uint64_t end = position + bytes.size();
    if (end <= reached_) return;
    on_bytes_(end - reached_);
    reached_ = end;
  }

  // Describes what is wrong with the downloaded bytes; empty if nothing is.
  std::string damage() const {
    if (file_.size && incomplete_.size() != *file_.size) {
      return fmt::format("expected {} bytes, found {}", *file_.size, incomplete_.size());
    }
    const bool is_sha256 = file_.etag.size() == kSha256Digits;
    if (!is_sha256 && file_.etag.size() != kGitDigits) {
      spdlog::warn("{}: its ETag '{}' is not a checksum; only its size is checked", file_.name, file_.etag);
      return "";
    }
    const std::string found =
        is_sha256 ? core::sha256_file(incomplete_.content()) : core::git_blob_id(incomplete_.content());
    if (found == file_.etag) return "";
    return fmt::format("expected content with the {} {:.12}..., found {:.12}...", is_sha256 ? "sha256" : "git blob id",
                       file_.etag, found);
  }

  HubClient& client_;
  const std::string& commit_;
  const HubClient::File& file_;
  const fs::path& blob_;
  const std::function<void(std::uint64_t)>& on_bytes_;
  IncompleteFile incomplete_;
  std::uint64_t reached_;  // the end of the furthest byte received so far
};

}  // namespace

std::uint64_t missing_bytes(const CachedModel& model, const HubClient::File& file) {
  const fs::path blob = model.blob(file.etag);
  if (!file.size || holds(blob, file.size)) return 0;
  std::error_code error;
  const auto there = fs::file_size(incomplete_path(blob), error);
  return error || there > *file.size ? *file.size : *file.size - there;
}

void fetch_into_cache(HubClient& client, const CachedModel& model, const std::string& commit,
                      const HubClient::File& file, const std::function<void(std::uint64_t)>& on_bytes) {
  const fs::path blob = model.blob(file.etag);
  if (!holds(blob, file.size)) {
    const BlobLock lock(model.lock(file.etag), file.name);
    if (!holds(blob, file.size)) BlobDownload(client, commit, file, blob, on_bytes).run();
  }
  model.link(commit, file.name, file.etag);
}

}  // namespace lockstep::hub
