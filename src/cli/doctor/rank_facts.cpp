#include "cli/doctor/rank_facts.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <chrono>
#include <filesystem>

#include "cli/versions.h"
#include "lockstep/comm/threads.h"
#include "lockstep/core/error.h"
#include "lockstep/core/launch_environment.h"

namespace lockstep::cli {
namespace {

// The parent process is mpirun or its daemon on this host. srun is left out because it is not bound to the job's cores.
std::vector<int> find_launcher_cores(const core::LaunchEnvironment& environment) {
  const auto launched = environment.ranks();
  const bool by_mpirun = launched && launched->launcher == core::LaunchEnvironment::Launcher::kOpenMpi;
  return by_mpirun ? comm::cores_of_process(::getppid()) : std::vector<int>();
}

void read_limits(RankFacts& facts) {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  facts.lockable_bytes = limit.rlim_cur == RLIM_INFINITY ? -1 : static_cast<std::int64_t>(limit.rlim_cur);
  struct statvfs shared {};
  if (::statvfs("/dev/shm", &shared) != 0) return;
  facts.shared_memory_bytes = static_cast<std::uint64_t>(shared.f_blocks) * shared.f_frsize;
  facts.free_shared_memory_bytes = static_cast<std::uint64_t>(shared.f_bavail) * shared.f_frsize;
}

// Returns how far this rank's clock is ahead of rank 0's: the median over several barriers, which all ranks leave at
// about the same time.
double measure_clock(Communicator& communicator) {
  constexpr std::int64_t kRounds = 7;
  at::Tensor times = at::zeros({communicator.world_size(), kRounds}, at::kDouble);
  for (std::int64_t round = 0; round < kRounds; ++round) {
    communicator.barrier();
    const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
    times[communicator.rank()][round] = now.count();
  }
  communicator.all_reduce_sum(times);
  return (times[communicator.rank()] - times[0]).median().item<double>();
}

RankFacts own_facts(Communicator& communicator) {
  comm::set_own_compute_threads(0, communicator);
  const core::LaunchEnvironment environment;
  RankFacts facts;
  facts.rank = communicator.rank();
  facts.placement = comm::own_placement(at::get_num_threads());
  facts.host_cores = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  facts.launcher_cores = find_launcher_cores(environment);
  facts.omp_num_threads = environment.text("OMP_NUM_THREADS");
  facts.slurm_ntasks = environment.text("SLURM_NTASKS");
  facts.slurm_cpus_per_task = environment.text("SLURM_CPUS_PER_TASK");
  facts.hdf5_use_file_locking = environment.text("HDF5_USE_FILE_LOCKING");
  Devices devices = find_devices();
  facts.gpus = std::move(devices.gpus);
  facts.adapters = std::move(devices.adapters);
  try {
    facts.versions = library_versions();
  } catch (const Error& error) {
    facts.wrong_library = error.what();
  }
  read_limits(facts);
  std::error_code error;
  facts.folder = std::filesystem::current_path(error).string();
  facts.file_locks = try_file_locks(facts.folder, communicator);
  facts.clock_ahead_s = measure_clock(communicator);
  return facts;
}

}  // namespace

std::vector<RankFacts> gather_rank_facts(Communicator& communicator) {
  // Replaces invalid UTF-8 in the folder's name.
  const auto text =
      nlohmann::json(own_facts(communicator)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::vector<RankFacts> ranks;
  for (const std::string& of_rank : comm::all_gather_texts(communicator, text)) {
    ranks.push_back(nlohmann::json::parse(of_rank).get<RankFacts>());
  }
  return ranks;
}

}  // namespace lockstep::cli
