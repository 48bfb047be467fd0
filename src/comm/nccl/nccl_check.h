#pragma once

#include <cuda_runtime_api.h>
#include <nccl.h>
#include <string>

namespace lockstep::comm {

/// What NCCL says of `status`, with its last message of detail.
std::string describe_nccl(ncclResult_t status);

/// Throws Error with what NCCL says of a call that failed; `call` is the expression's text. A call of a nonblocking
/// communicator that is still in progress has not failed.
void check_nccl(ncclResult_t status, const char* call);

/// The same of a call of the CUDA runtime.
void check_cuda(cudaError_t status, const char* call);

}  // namespace lockstep::comm

#define NCCL_CHECK(call) ::lockstep::comm::check_nccl((call), #call)
#define CUDA_CHECK(call) ::lockstep::comm::check_cuda((call), #call)
