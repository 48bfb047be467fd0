#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace lockstep::data {

/// The part of a job's work that falls to this process.
struct WorkShare {
  std::uint64_t rank = 0;
  std::uint64_t size = 1;

  bool owns(std::uint64_t shard) const { return shard % size == rank; }
  bool operator==(const WorkShare&) const = default;
};

/// Which process of how many this is, by what mpirun (Open MPI, MPICH), srun and Slurm arrays leave in the environment;
/// alone if none of them started it. An array whose tasks are MPI or Slurm ranks counts all of them. `variable` gives
/// an environment variable, or null. Throws InputError for an array whose task numbers have gaps, and for numbers that
/// are none.
WorkShare find_work_share(const std::function<const char*(const char*)>& variable);

}  // namespace lockstep::data
