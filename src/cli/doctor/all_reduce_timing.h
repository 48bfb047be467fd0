#pragma once

#include <cstdint>
#include <vector>

#include "lockstep/comm/communicator.h"

namespace lockstep::cli {

struct AllReduceTiming {
  std::uint64_t bytes = 0;
  double seconds = 0;  // of one sum, the slowest rank's mean
};

/// Sums fp32 tensors of the given sizes over the ranks, each size over and over for about `seconds`.
std::vector<AllReduceTiming> time_all_reduce(Communicator& communicator, const std::vector<std::uint64_t>& sizes,
                                             double seconds);

/// Bytes a second that each rank sends and receives at least, whatever their number: as nccl-tests define it,
/// bytes / seconds x 2 (ranks - 1) / ranks.
double bus_bandwidth(const AllReduceTiming& timing, int ranks);

}  // namespace lockstep::cli
