#pragma once

#include <nccl.h>
#include <atomic>

/// NCCL for tests, on host memory and the streams of stand_in_cuda.h; its ranks are threads of one process. A test
/// program that links it uses its functions instead of libnccl's. As a nonblocking communicator may, it enqueues a call
/// on its stream only after several calls of ncclCommGetAsyncError(). The process ends if the calls of the ranks
/// differ.
namespace stand_in {

struct NcclFaults {
  std::atomic<ncclResult_t> of_calls{ncclSuccess};      // returned by collectives
  std::atomic<ncclResult_t> asynchronous{ncclSuccess};  // reported by ncclCommGetAsyncError()
  std::atomic<int> missing_rank{-1};                    // a rank whose collectives never begin
  std::atomic<bool> never_on_stream{false};             // no call is ever enqueued on its stream
  std::atomic<int> version{NCCL_VERSION_CODE};
};
NcclFaults& nccl_faults();

/// Returns the number of communicators that were created and not destroyed.
int live_communicators();

}  // namespace stand_in
