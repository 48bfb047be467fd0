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

/// Checks in a thread of its own whether NCCL's operations end: it polls NCCL for errors, the operations' events, and
/// the clock. No other thread has to wait for a GPU to find out.
class NcclWatchdog {
 public:
  using Clock = std::chrono::steady_clock;

  /// An operation, from before it is enqueued until it is done. It keeps its tensor's memory alive until then.
  struct Operation {
    Operation(std::string its_name, at::Tensor its_tensor) : name(std::move(its_name)), tensor(std::move(its_tensor)) {}

    const std::string name;
    const at::Tensor tensor;
    const Clock::time_point begun = Clock::now();
    CudaEvent done;
    bool is_recorded = false;  // whether `done` is recorded
  };

  /// `on_failure` is called once, with what failed or is late; it ends the process. Operations run on `comm` and
  /// `device`. `timeout` applies to each operation; 0 means no limit.
  NcclWatchdog(const NcclComm& comm, int device, std::chrono::seconds timeout,
               std::function<void(const std::string&)> on_failure);
  ~NcclWatchdog();
  NcclWatchdog(const NcclWatchdog&) = delete;
  NcclWatchdog& operator=(const NcclWatchdog&) = delete;

  std::shared_ptr<Operation> begin(std::string name, at::Tensor tensor);
  /// Records that all work of `operation` is on `stream`.
  void record(Operation& operation, cudaStream_t stream);
  /// Stops watching an operation that ended on the host, by an error or without a stream.
  void forget(const std::shared_ptr<Operation>& operation);

  void set_timeout(std::chrono::seconds timeout);
  void set_activity(std::string activity);
  /// Returns `name`, preceded by the activity.
  std::string describe(const std::string& name) const;

 private:
  void work();
  /// Moves operations that are done to `ended`. Returns what is wrong with another one, or an empty string. The caller
  /// holds `mutex_`.
  std::string look(std::vector<std::shared_ptr<Operation>>& ended);
  std::string problem_of(const Operation& operation, cudaError_t event, ncclResult_t comm) const;
  std::string with_activity(const std::string& name) const;

  const NcclComm& comm_;
  const int device_;
  std::function<void(const std::string&)> on_failure_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Operation>> in_flight_;
  std::chrono::seconds timeout_;
  std::string activity_;
  bool stopping_ = false;
  std::jthread thread_;  // last: joined before the other members are destroyed
};

}  // namespace lockstep::comm
