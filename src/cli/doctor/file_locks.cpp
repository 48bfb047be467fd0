#include "cli/doctor/file_locks.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <optional>

namespace lockstep::cli {
namespace {

constexpr const char* kHeldTwice = "two ranks hold the same lock";

using Lock = int (*)(int descriptor);

int lock_by_fcntl(int descriptor) {
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  return ::fcntl(descriptor, F_SETLK, &whole);
}

int lock_by_flock(int descriptor) { return ::flock(descriptor, LOCK_EX | LOCK_NB); }

bool is_held_by_another(int error) { return error == EWOULDBLOCK || error == EAGAIN || error == EACCES; }

// Creates a new file in a folder; the destructor removes it.
class TrialFile {
 public:
  explicit TrialFile(const std::filesystem::path& folder)
      : path_((folder / ".lockstep-doctor-XXXXXX").string()), descriptor_(::mkstemp(path_.data())), error_(errno) {}
  ~TrialFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    ::unlink(path_.c_str());
  }
  TrialFile(const TrialFile&) = delete;
  TrialFile& operator=(const TrialFile&) = delete;

  const std::string& path() const { return path_; }
  std::string try_lock(Lock lock) const {
    if (descriptor_ < 0) return std::string("no file can be made: ") + std::strerror(error_);
    return lock(descriptor_) == 0 ? "" : std::strerror(errno);
  }

 private:
  std::string path_;
  int descriptor_;
  int error_;
};

// Tries to lock a file that rank 0 has locked, which must fail. Returns the problem, empty if there is none; nullopt if
// this rank does not see the file.
std::optional<std::string> try_locked_file(const std::string& path, Lock lock) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  std::string problem = kHeldTwice;
  if (lock(descriptor) != 0) problem = is_held_by_another(errno) ? "" : std::strerror(errno);
  ::close(descriptor);
  return problem;
}

// Tries one kind of lock on all ranks. Each kind needs a file of its own, because on NFS both kinds are the same lock.
std::string try_on_ranks(const std::filesystem::path& folder, Lock lock, Communicator& communicator) {
  std::string problem;
  std::optional<TrialFile> file;
  if (communicator.is_root()) problem = file.emplace(folder).try_lock(lock);
  const std::string path = comm::broadcast_text(communicator, file && problem.empty() ? file->path() : "");
  if (!communicator.is_root()) {
    const auto found = path.empty() ? std::nullopt : try_locked_file(path, lock);
    problem = found ? *found : TrialFile(folder).try_lock(lock);
  }
  communicator.barrier();  // rank 0 holds its lock until all ranks have tried
  return problem;
}

}  // namespace

FileLocks try_file_locks(const std::filesystem::path& folder, Communicator& communicator) {
  FileLocks locks;
  locks.fcntl = try_on_ranks(folder, &lock_by_fcntl, communicator);
  locks.flock = try_on_ranks(folder, &lock_by_flock, communicator);
  return locks;
}

}  // namespace lockstep::cli
