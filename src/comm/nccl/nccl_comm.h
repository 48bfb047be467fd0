#pragma once

#include <nccl.h>
#include <functional>

namespace lockstep::comm {

/// This process's membership in NCCL's ranks. It is nonblocking: no call waits for other ranks, so that the host can
/// report a missing rank.
class NcclComm {
 public:
  /// Begins to join the ranks for which rank 0 created `id`, with the thread's current GPU. settle() returns once all
  /// have joined.
  NcclComm(int rank, int world_size, const ncclUniqueId& id);
  /// Leaves cleanly if the other ranks leave within a few seconds; otherwise the end of the process does the rest.
  ~NcclComm();
  NcclComm(const NcclComm&) = delete;
  NcclComm& operator=(const NcclComm&) = delete;

  ncclComm_t get() const { return comm_; }
  /// Returns once all calls so far are enqueued on their stream, so that later work on it runs after them. Throws Error
  /// if one of them failed.
  void settle() const;
  /// Runs `calls` as one NCCL group and then calls settle().
  void group(const std::function<void()>& calls) const;
  /// Returns the current status, which may be ncclInProgress. Thread-safe.
  ncclResult_t state() const;

 private:
  ncclComm_t comm_ = nullptr;
};

}  // namespace lockstep::comm
