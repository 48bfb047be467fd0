#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

namespace lockstep::core {

/// Holds a folder for one process, so that two runs cannot write to it at once. The lock is the kernel's lock (flock)
/// of a small file in the folder, which the kernel releases when the process ends, however it ends. The file names
/// host, process and time of its holder, and a number in it grows every few seconds: where nodes do not see each
/// other's kernel locks, or the file system has none, a growing number shows that the holder is alive.
class FolderLock {
 public:
  static constexpr const char* kFileName = ".lockstep.lock";

  struct Timing {
    std::chrono::milliseconds heartbeat{5'000};
    /// How long the number of a holder on another host must rest before the holder counts as dead; and how long to wait
    /// for the earlier start of the same Slurm job to end.
    std::chrono::milliseconds patience{20'000};
  };

  /// Locks an existing folder. Throws InputError, naming the holder, if another process holds it; Error if the file
  /// cannot be written. Warns once if the file system has no locks.
  explicit FolderLock(const std::filesystem::path& folder) : FolderLock(folder, Timing{}) {}
  FolderLock(const std::filesystem::path& folder, const Timing& timing, const std::string& file_name = kFileName);
  /// Releases the folder and removes the file.
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  void open_locked(const Timing& timing);
  void wait_for_holder(const Timing& timing);
  void write_record();
  void beat(const Timing& timing);

  std::filesystem::path path_;
  int descriptor_ = -1;
  bool has_kernel_lock_ = false;
  std::string since_;
  std::uint64_t beats_ = 0;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool is_stopping_ = false;
  std::thread heart_;
};

}  // namespace lockstep::core
