#pragma once

#include <nccl.h>
#include <functional>

namespace lockstep::comm {

/// This process among the ranks of NCCL. Nonblocking: no call waits for other ranks, so that a rank that is missing
/// leaves the host free to say so.
class NcclComm {
 public:
  /// Begins to join the ranks that rank 0 made `id` for, with the thread's current GPU. settle() returns once all have.
  NcclComm(int rank, int world_size, const ncclUniqueId& id);
  /// Leaves in order if the other ranks do so in a moment; else the process's end does it.
  ~NcclComm();
  NcclComm(const NcclComm&) = delete;
  NcclComm& operator=(const NcclComm&) = delete;

  ncclComm_t get() const { return comm_; }
  /// Returns once the calls so far are on their stream: what is put there next comes behind them. Throws Error if one
  /// of them failed.
  void settle() const;
  /// settle() after `calls`, which become one operation of NCCL.
  void group(const std::function<void()>& calls) const;
  /// How it stands, ncclInProgress included. May be called by any thread.
  ncclResult_t state() const;

 private:
  ncclComm_t comm_ = nullptr;
};

}  // namespace lockstep::comm
