#pragma once

#include <cuda_runtime_api.h>
#include <nccl.h>
#include <string>

namespace lockstep::comm {

/// Returns NCCL's text for `status`, with its last detailed message.
std::string describe_nccl(ncclResult_t status);

/// Throws Error with NCCL's message if a call failed; `call` is the text of the expression. A call on a nonblocking
/// communicator that is still in progress has not failed.
void check_nccl(ncclResult_t status, const char* call);

/// Throws Error with CUDA's message if a call of the CUDA runtime failed; `call` is the text of the expression.
void check_cuda(cudaError_t status, const char* call);

}  // namespace lockstep::comm

#define NCCL_CHECK(call) ::lockstep::comm::check_nccl((call), #call)
#define CUDA_CHECK(call) ::lockstep::comm::check_cuda((call), #call)
