#pragma once

#include <cstdint>

#include "lockstep/comm/communicator.h"

namespace lockstep::comm {

/// Sets how many threads LibTorch computes with: `threads_per_rank`; if that is 0, OMP_NUM_THREADS, else the rank's
/// share of the cores. All ranks call it; rank 0 warns where ranks then have more threads than cores
/// (comm/placement.h).
void set_compute_threads(std::int64_t threads_per_rank, Communicator& communicator);

/// The same without the warning, on this rank alone.
void set_own_compute_threads(std::int64_t threads_per_rank, const Communicator& communicator);

}  // namespace lockstep::comm
