#include "lockstep/comm/threads.h"

#include <ATen/Parallel.h>
#include <cstdlib>

namespace lockstep {

void set_compute_threads(std::int64_t threads_per_rank, const Communicator& communicator) {
  if (threads_per_rank > 0) {
    at::set_num_threads(static_cast<int>(threads_per_rank));
  } else if (std::getenv("OMP_NUM_THREADS") == nullptr) {  // which LibTorch reads itself
    at::set_num_threads(communicator.cores_per_rank());
  }
}

}  // namespace lockstep
