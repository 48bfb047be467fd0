#include "comm/nccl/nccl_comm.h"

#include <fmt/format.h>
#include <chrono>
#include <thread>

#include "comm/nccl/nccl_check.h"
#include "lockstep/core/error.h"

namespace lockstep::comm {
namespace {

using Clock = std::chrono::steady_clock;

// A call is enqueued within microseconds, except the first, which opens the connections.
constexpr std::chrono::milliseconds kPollsWithoutRest{1};
constexpr std::chrono::microseconds kRestOfPolls{200};
constexpr std::chrono::seconds kGoodbye{5};

void rest_since(Clock::time_point start) {
  if (Clock::now() - start < kPollsWithoutRest) {
    std::this_thread::yield();
  } else {
    std::this_thread::sleep_for(kRestOfPolls);
  }
}

}  // namespace

NcclComm::NcclComm(int rank, int world_size, const ncclUniqueId& id) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  config.commName = "lockstep";
  NCCL_CHECK(ncclCommInitRankConfig(&comm_, world_size, id, rank, &config));
}

// ncclCommAbort may hang if another rank has died, so a communicator that does not finish is not aborted.
NcclComm::~NcclComm() {
  if (state() != ncclSuccess) return;
  ncclResult_t left = ncclCommFinalize(comm_);
  const Clock::time_point start = Clock::now();
  while (left == ncclInProgress && Clock::now() - start < kGoodbye) {
    rest_since(start);
    left = state();
  }
  if (left == ncclSuccess) ncclCommDestroy(comm_);
}

void NcclComm::settle() const {
  const Clock::time_point start = Clock::now();
  ncclResult_t now = state();
  for (; now == ncclInProgress; now = state()) rest_since(start);
  if (now != ncclSuccess) throw Error(fmt::format("NCCL: {}", describe_nccl(now)));
}

void NcclComm::group(const std::function<void()>& calls) const {
  NCCL_CHECK(ncclGroupStart());
  try {
    calls();
  } catch (...) {
    ncclGroupEnd();
    throw;
  }
  NCCL_CHECK(ncclGroupEnd());
  settle();
}

ncclResult_t NcclComm::state() const {
  ncclResult_t state = ncclSuccess;
  const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
  return asked == ncclSuccess ? state : asked;
}

}  // namespace lockstep::comm
