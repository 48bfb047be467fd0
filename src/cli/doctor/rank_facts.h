#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/doctor/devices.h"
#include "cli/doctor/file_locks.h"
#include "lockstep/comm/communicator.h"
#include "lockstep/comm/placement.h"

namespace lockstep::cli {

/// What a rank knows about the host and the process that it runs in.
struct RankFacts {
  int rank = 0;
  comm::Placement placement;        // with the threads that training uses by default
  int host_cores = 0;               // online
  std::vector<int> launcher_cores;  // cores that mpirun may use; empty: another launcher, or none
  // Environment variables; empty if not set:
  std::string omp_num_threads, slurm_ntasks, slurm_cpus_per_task, hdf5_use_file_locking;
  std::vector<Gpu> gpus;
  std::vector<NetworkAdapter> adapters;
  std::vector<std::pair<std::string, std::string>> versions;
  std::string wrong_library;                                            // error of library_versions(); empty: none
  std::uint64_t shared_memory_bytes = 0, free_shared_memory_bytes = 0;  // of /dev/shm
  std::int64_t lockable_bytes = 0;                                      // RLIMIT_MEMLOCK; -1: unlimited
  std::string folder;                                                   // the working folder
  FileLocks file_locks;                                                 // in `folder`
  double clock_ahead_s = 0;                                             // relative to rank 0's clock
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RankFacts, rank, placement, host_cores, launcher_cores, omp_num_threads,
                                   slurm_ntasks, slurm_cpus_per_task, hdf5_use_file_locking, gpus, adapters, versions,
                                   wrong_library, shared_memory_bytes, free_shared_memory_bytes, lockable_bytes, folder,
                                   file_locks, clock_ahead_s)

/// Returns the facts of all ranks, on every rank.
std::vector<RankFacts> gather_rank_facts(Communicator& communicator);

}  // namespace lockstep::cli
