#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace lockstep::data {

/// This process's share of a job's shards: those whose number is `rank` modulo `size`.
struct WorkShare {
  std::uint64_t rank = 0;
  std::uint64_t size = 1;

  bool owns(std::uint64_t shard) const { return shard % size == rank; }
  bool operator==(const WorkShare&) const = default;
};

/// Returns which process this is, and of how many, from the environment variables of mpirun (Open MPI, MPICH), srun and
/// Slurm arrays; rank 0 of 1 if none of them started it. If the tasks of an array consist of several MPI or Slurm
/// ranks, the ranks of all tasks are counted. `variable` returns the value of an environment variable, or null. Throws
/// InputError if a variable is not a number, a rank is out of range, or the task numbers of an array are not evenly
/// spaced.
WorkShare find_work_share(const std::function<const char*(const char*)>& variable);

}  // namespace lockstep::data
