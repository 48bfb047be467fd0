#include "comm/nccl/nccl_watchdog.h"

#include <fmt/format.h>
#include <algorithm>
#include <utility>

#include "comm/nccl/nccl_check.h"

namespace lockstep::comm {
namespace {

// Pause between two polls: failures are reported within seconds, and memory is not held for long.
constexpr std::chrono::milliseconds kLookInterval{20};

}  // namespace

NcclWatchdog::NcclWatchdog(const NcclComm& comm, int device, std::chrono::seconds timeout,
                           std::function<void(const std::string&)> on_failure)
    : comm_(comm), device_(device), on_failure_(std::move(on_failure)), timeout_(timeout), thread_([this] {
        work();
      }) {}

NcclWatchdog::~NcclWatchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
}

std::shared_ptr<NcclWatchdog::Operation> NcclWatchdog::begin(std::string name, at::Tensor tensor) {
  auto operation = std::make_shared<Operation>(std::move(name), std::move(tensor));
  {
    const std::lock_guard lock(mutex_);
    in_flight_.push_back(operation);
  }
  changed_.notify_all();
  return operation;
}

void NcclWatchdog::record(Operation& operation, cudaStream_t stream) {
  const std::lock_guard lock(mutex_);
  operation.done.record(stream);
  operation.is_recorded = true;
}

void NcclWatchdog::forget(const std::shared_ptr<Operation>& operation) {
  const std::lock_guard lock(mutex_);
  std::erase(in_flight_, operation);
}

void NcclWatchdog::set_timeout(std::chrono::seconds timeout) {
  const std::lock_guard lock(mutex_);
  timeout_ = timeout;
}

void NcclWatchdog::set_activity(std::string activity) {
  const std::lock_guard lock(mutex_);
  activity_ = std::move(activity);
}

std::string NcclWatchdog::describe(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  return with_activity(name);
}

void NcclWatchdog::work() {
  cudaSetDevice(device_);  // otherwise querying an event would wake up another GPU
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (in_flight_.empty()) {
      changed_.wait(lock, [this] { return stopping_ || !in_flight_.empty(); });
      continue;
    }
    std::vector<std::shared_ptr<Operation>> ended;
    const std::string problem = look(ended);
    lock.unlock();
    if (!problem.empty()) {
      on_failure_(problem);
      return;
    }
    ended.clear();
    lock.lock();
    changed_.wait_for(lock, kLookInterval, [this] { return stopping_; });
  }
}

std::string NcclWatchdog::look(std::vector<std::shared_ptr<Operation>>& ended) {
  const ncclResult_t comm = comm_.state();
  for (const auto& operation : in_flight_) {
    const cudaError_t event = operation->is_recorded ? cudaEventQuery(operation->done.get()) : cudaErrorNotReady;
    if (event == cudaSuccess) {
      ended.push_back(operation);
      continue;
    }
    cudaGetLastError();  // clears the error, so that no later check finds it
    if (std::string problem = problem_of(*operation, event, comm); !problem.empty()) return problem;
  }
  std::erase_if(in_flight_, [&](const auto& operation) { return std::ranges::find(ended, operation) != ended.end(); });
  return {};
}

std::string NcclWatchdog::problem_of(const Operation& operation, cudaError_t event, ncclResult_t comm) const {
  const std::string where = with_activity(operation.name);
  if (event != cudaErrorNotReady) {
    return fmt::format(
        "{}: expected a working GPU, found the error '{}', from this or an earlier kernel; CUDA_LAUNCH_BLOCKING=1 "
        "shows which",
        where, cudaGetErrorString(event));
  }
  if (comm != ncclSuccess && comm != ncclInProgress) {
    return fmt::format("{}: NCCL: {}; another rank may have died: see its own last messages", where,
                       describe_nccl(comm));
  }
  if (timeout_.count() != 0 && Clock::now() - operation.begun > timeout_) {
    return fmt::format(
        "{} did not end within collective_timeout_s: {} s: another rank has died, is stopped, or cannot "
        "be reached; see its own last messages, or raise collective_timeout_s if it was only slow",
        where, timeout_.count());
  }
  return {};
}

std::string NcclWatchdog::with_activity(const std::string& name) const {
  return activity_.empty() ? name : fmt::format("{}: {}", activity_, name);
}

}  // namespace lockstep::comm
