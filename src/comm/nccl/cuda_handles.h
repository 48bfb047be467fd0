#pragma once

#include <cuda_runtime_api.h>

namespace lockstep::comm {

/// A CUDA stream of the highest priority: the GPU prefers its work to the kernels of other streams wherever it has a
/// choice.
class CudaStream {
 public:
  CudaStream();
  ~CudaStream();
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// A point in a stream. It does not record the time, which would cost performance.
class CudaEvent {
 public:
  CudaEvent();
  ~CudaEvent();
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  cudaEvent_t get() const { return event_; }
  void record(cudaStream_t stream);
  /// Makes later work on `stream` wait for the point last recorded; the host does not wait.
  void make_wait(cudaStream_t stream) const;

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace lockstep::comm
