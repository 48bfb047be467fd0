#pragma once

#include <cstdint>

#include "lockstep/core/launch_environment.h"

namespace lockstep::data {

/// This process's share of a job's shards: those whose number is `rank` modulo `size`.
struct WorkShare {
  std::uint64_t rank = 0;
  std::uint64_t size = 1;

  bool owns(std::uint64_t shard) const { return shard % size == rank; }
  bool operator==(const WorkShare&) const = default;
};

/// Returns which process this is, and of how many, according to mpirun, srun or a Slurm array; rank 0 of 1 if none of
/// them started it. If the tasks of an array consist of several MPI or Slurm ranks, the ranks of all tasks are counted.
/// Throws InputError as LaunchEnvironment does.
WorkShare find_work_share(const core::LaunchEnvironment& environment = core::LaunchEnvironment());

}  // namespace lockstep::data
