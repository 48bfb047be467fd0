#include "lockstep/comm/nccl/nccl_version.h"

#include <fmt/format.h>
#include <nccl.h>

#include "lockstep/core/error.h"

namespace lockstep::comm {
namespace {

// Inverts NCCL_VERSION() of nccl.h: 22809 is 2.28.9.
std::string to_text(int version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace

std::string nccl_library_version() {
  int version = 0;
  if (ncclGetVersion(&version) != ncclSuccess) throw Error("NCCL does not report its version");
  if (version != NCCL_VERSION_CODE) {
    throw Error(fmt::format("built with NCCL {}, but {} is loaded; remove the other one from LD_LIBRARY_PATH",
                            to_text(NCCL_VERSION_CODE), to_text(version)));
  }
  return to_text(version);
}

}  // namespace lockstep::comm
