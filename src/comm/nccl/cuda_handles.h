#pragma once

#include <cuda_runtime_api.h>

namespace lockstep::comm {

/// A stream of its own, of the highest priority: what is on it goes before the kernels of other streams wherever the
/// GPU has a choice.
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

/// Marks a place in a stream; without the time at which it was reached, which would cost.
class CudaEvent {
 public:
  CudaEvent();
  ~CudaEvent();
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  cudaEvent_t get() const { return event_; }
  void record(cudaStream_t stream);
  /// What `stream` gets from now on waits for the place last recorded; the host does not.
  void hold_back(cudaStream_t stream) const;

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace lockstep::comm
