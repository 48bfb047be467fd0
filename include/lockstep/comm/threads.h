#pragma once

#include <cstdint>

#include "lockstep/comm/communicator.h"

namespace lockstep::comm {

/// Sets the number of threads that LibTorch computes with: `threads_per_rank`; if that is 0, OMP_NUM_THREADS; if that
/// is not set, the rank's share of the cores. All ranks must call it; rank 0 warns if ranks then have more threads than
/// cores (comm/placement.h).
void set_compute_threads(std::int64_t threads_per_rank, Communicator& communicator);

/// Sets the number of threads as set_compute_threads() does, on this rank only and without the warning.
void set_own_compute_threads(std::int64_t threads_per_rank, const Communicator& communicator);

}  // namespace lockstep::comm
