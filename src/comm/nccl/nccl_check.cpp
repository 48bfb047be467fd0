#include "comm/nccl/nccl_check.h"

#include <fmt/format.h>

#include "lockstep/core/error.h"

namespace lockstep::comm {

std::string describe_nccl(ncclResult_t status) {
  const char* detail = ncclGetLastError(nullptr);
  const bool has_detail = detail != nullptr && *detail != '\0';
  return fmt::format("{}{}{}; NCCL_DEBUG=INFO shows more", ncclGetErrorString(status), has_detail ? ": " : "",
                     has_detail ? detail : "");
}

void check_nccl(ncclResult_t status, const char* call) {
  if (status == ncclSuccess || status == ncclInProgress) return;
  throw Error(fmt::format("{}: {}", call, describe_nccl(status)));
}

void check_cuda(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  throw Error(fmt::format("{}: {}", call, cudaGetErrorString(status)));
}

}  // namespace lockstep::comm
