#pragma once

#include <cuda_runtime_api.h>
#include <atomic>
#include <functional>
#include <string>
#include <vector>

/// A CUDA runtime for tests, on host memory: streams are threads that run tasks in order, and events mark points in
/// them. A test program that links it uses its functions instead of libcudart's.
namespace stand_in {

/// Enqueues `kernel` on `stream`.
void run_on(cudaStream_t stream, std::function<void()> kernel);
/// Waits for everything on `stream`. The code under test has no function for this.
void drain(cudaStream_t stream);
/// Returns e.g. "stream 3 of priority -5" for the fourth stream of the process.
std::string name_of(cudaStream_t stream);

inline constexpr int kHighestPriority = -5;

/// Errors that the functions return instead of success.
struct CudaFaults {
  std::atomic<cudaError_t> of_event_query{cudaSuccess};
};
CudaFaults& cuda_faults();

/// Records, during its lifetime, the calls by which its thread enqueues CUDA and NCCL work on a stream: "record stream
/// 1 of priority 0", "ncclAllReduce stream 2 of priority -5".
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
