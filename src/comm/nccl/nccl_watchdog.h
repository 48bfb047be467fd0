#pragma once

#include <ATen/core/Tensor.h>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "comm/nccl/cuda_handles.h"
#include "comm/nccl/nccl_comm.h"

namespace lockstep::comm {

/// Sees, in a thread of its own, whether NCCL's operations end: asks NCCL for errors, their events whether they were
/// reached, and the clock. Nobody else has to wait for a GPU to know.
class NcclWatchdog {
 public:
  using Clock = std::chrono::steady_clock;

  /// An operation, from before it is put on its stream until it is done. Its tensor's memory is kept until then.
  struct Operation {
    Operation(std::string its_name, at::Tensor its_tensor) : name(std::move(its_name)), tensor(std::move(its_tensor)) {}

    const std::string name;
    const at::Tensor tensor;
    const Clock::time_point begun = Clock::now();
    CudaEvent done;
    bool is_recorded = false;  // `done`
  };

  /// `on_failure` is called, once, with what failed or is late; it ends the process. `comm` and `device` are where
  /// operations run. `timeout`: for each; 0: for ever.
  NcclWatchdog(const NcclComm& comm, int device, std::chrono::seconds timeout,
               std::function<void(const std::string&)> on_failure);
  ~NcclWatchdog();
  NcclWatchdog(const NcclWatchdog&) = delete;
  NcclWatchdog& operator=(const NcclWatchdog&) = delete;

  std::shared_ptr<Operation> begin(std::string name, at::Tensor tensor);
  /// All of `operation` is on `stream`.
  void record(Operation& operation, cudaStream_t stream);
  /// It ended on the host, by an error or without a stream.
  void forget(const std::shared_ptr<Operation>& operation);

  void set_timeout(std::chrono::seconds timeout);
  void set_activity(std::string activity);
  /// What the job is at, and `name`.
  std::string describe(const std::string& name) const;

 private:
  void work();
  /// Moves the operations that are done to `ended`; returns what is wrong with the others, if anything is. `mutex_` is
  /// held.
  std::string look(std::vector<std::shared_ptr<Operation>>& ended);
  std::string problem_of(const Operation& operation, cudaError_t event, ncclResult_t comm) const;
  std::string with_activity(const std::string& name) const;

  const NcclComm& comm_;
  const int device_;
  std::function<void(const std::string&)> on_failure_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Operation>> under_way_;
  std::chrono::seconds timeout_;
  std::string activity_;
  bool stopping_ = false;
  std::jthread thread_;  // last: joined before the rest goes
};

}  // namespace lockstep::comm
