#pragma once

#include <cuda_runtime_api.h>
#include <atomic>
#include <functional>
#include <string>
#include <vector>

/// A CUDA runtime for tests, on host memory: streams are threads that do one thing after another, events mark places in
/// them. A test program that links it takes its functions instead of libcudart's.
namespace stand_in {

/// Puts `kernel` on `stream`.
void run_on(cudaStream_t stream, std::function<void()> kernel);
/// Waits for all that is on `stream`. The code under test has no function that does.
void drain(cudaStream_t stream);
/// E.g. "stream 3 of priority -5", the fourth of the process.
std::string name_of(cudaStream_t stream);

inline constexpr int kHighestPriority = -5;

/// What the functions return instead of success.
struct CudaFaults {
  std::atomic<cudaError_t> of_event_query{cudaSuccess};
};
CudaFaults& cuda_faults();

/// The calls of CUDA and NCCL that put something on a stream, of the thread that made the object, while it lives:
/// "record stream 1 of priority 0", "ncclAllReduce stream 2 of priority -5".
class CallLog {
 public:
  CallLog();
  ~CallLog();
  CallLog(const CallLog&) = delete;
  CallLog& operator=(const CallLog&) = delete;
  const std::vector<std::string>& calls() const { return calls_; }
  void clear() { calls_.clear(); }

 private:
  friend void log_call(std::string call);
  std::vector<std::string> calls_;
};
void log_call(std::string call);

}  // namespace stand_in
