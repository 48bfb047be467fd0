#include "lockstep/comm/threads.h"

#include <ATen/Parallel.h>
#include <spdlog/spdlog.h>

#include "lockstep/comm/placement.h"
#include "lockstep/core/launch_environment.h"

namespace lockstep::comm {

void set_own_compute_threads(std::int64_t threads_per_rank, const Communicator& communicator) {
  if (threads_per_rank > 0) {
    at::set_num_threads(static_cast<int>(threads_per_rank));
  } else if (core::LaunchEnvironment().text("OMP_NUM_THREADS").empty()) {  // LibTorch reads it itself
    at::set_num_threads(communicator.cores_per_rank());
  }
}

void set_compute_threads(std::int64_t threads_per_rank, Communicator& communicator) {
  set_own_compute_threads(threads_per_rank, communicator);
  const auto found = find_oversubscription(gather_placements(communicator, at::get_num_threads()));
  if (found && communicator.is_root()) spdlog::warn("{}", describe(*found));
}

}  // namespace lockstep::comm
