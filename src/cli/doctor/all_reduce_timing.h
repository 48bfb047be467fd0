#pragma once

#include <cstdint>
#include <vector>

#include "lockstep/comm/communicator.h"

namespace lockstep::cli {

struct AllReduceTiming {
  std::uint64_t bytes = 0;
  double seconds = 0;  // per all-reduce; the mean of the slowest rank
};

/// Times all-reduces of fp32 tensors of the given sizes in bytes, repeating each size for about `seconds`.
std::vector<AllReduceTiming> time_all_reduce(Communicator& communicator, const std::vector<std::uint64_t>& sizes,
                                             double seconds);

/// Returns the bus bandwidth in bytes per second as nccl-tests define it: bytes / seconds x 2 (ranks - 1) / ranks. It
/// is comparable between different numbers of ranks.
double bus_bandwidth(const AllReduceTiming& timing, int ranks);

}  // namespace lockstep::cli
