#pragma once

#include <nccl.h>
#include <atomic>

/// NCCL for tests, on host memory and the streams of stand_in_cuda.h; its ranks are threads of one process. A test
/// program that links it takes its functions instead of libnccl's. As a nonblocking communicator may, it puts a call on
/// its stream only after ncclCommGetAsyncError() was asked a few times. Ranks whose calls differ end the process.
namespace stand_in {

struct NcclFaults {
  std::atomic<ncclResult_t> of_calls{ncclSuccess};      // what collectives return
  std::atomic<ncclResult_t> asynchronous{ncclSuccess};  // what ncclCommGetAsyncError() finds
  std::atomic<int> missing_rank{-1};                    // its collectives never begin
  std::atomic<bool> never_on_stream{false};             // nor does any, not even on its stream
  std::atomic<int> version{NCCL_VERSION_CODE};
};
NcclFaults& nccl_faults();

/// Communicators that were made and not destroyed.
int live_communicators();

}  // namespace stand_in
