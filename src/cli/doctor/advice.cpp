#include "cli/doctor/advice.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

namespace lockstep::cli {
namespace {

// Open MPI and NCCL keep messages in /dev/shm. Sizes per rank, in bytes.
constexpr std::uint64_t kSharedMemoryOfRank = std::uint64_t{16} << 20;
constexpr std::uint64_t kSharedMemoryOfGpuRank = std::uint64_t{64} << 20;
// InfiniBand locks the memory that it sends from and receives into. In bytes.
constexpr std::int64_t kLockableForInfiniband = std::int64_t{1} << 30;
constexpr double kClockDifference_s = 0.5;

struct Host {
  std::string name;
  std::vector<const RankFacts*> ranks;

  const RankFacts& first() const { return *ranks.front(); }
  // Returns the cores that at least one of its ranks may use.
  std::vector<int> cores() const {
    std::set<int> together;
    for (const RankFacts* rank : ranks) together.insert(rank->placement.cores.begin(), rank->placement.cores.end());
    return {together.begin(), together.end()};
  }
  bool is_confined_to_one_core() const { return ranks.size() > 1 && cores().size() == 1 && first().host_cores > 1; }
};

using Lines = std::vector<std::string>;

// Groups the ranks by host, in the order of their ranks.
std::vector<Host> hosts_of(const std::vector<RankFacts>& ranks) {
  std::vector<Host> hosts;
  std::map<std::string, std::size_t> places;
  for (const RankFacts& rank : ranks) {
    const auto [place, is_new] = places.emplace(rank.placement.host, hosts.size());
    if (is_new) hosts.push_back({rank.placement.host, {}});
    hosts[place->second].ranks.push_back(&rank);
  }
  return hosts;
}

// Adds `line` for the first item for which `holds` is true, with the number of further such items.
template <class Item, class Holds, class Line>
void advise_once(Lines& advice, const std::vector<Item>& items, const char* kind, const Holds& holds,
                 const Line& line) {
  const auto first = std::ranges::find_if(items, holds);
  if (first == items.end()) return;
  const auto more = std::ranges::count_if(items, holds) - 1;
  advice.push_back(line(*first));
  if (more > 0) advice.back() += fmt::format(" (and {} more {}{})", more, kind, more == 1 ? "" : "s");
}

std::string name_rank(const RankFacts& rank) { return fmt::format("rank {} on {}", rank.rank, rank.placement.host); }

double mebibytes(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

void advise_on_launch(Lines& advice, const std::vector<RankFacts>& ranks) {
  const RankFacts& root = ranks.front();
  if (ranks.size() > 1 || std::atoi(root.slurm_ntasks.c_str()) <= 1) return;
  advice.push_back(
      fmt::format("{}: Slurm has {} tasks for the job (SLURM_NTASKS), but this is a single process: start it with srun "
                  "--mpi=pmix or mpirun",
                  root.placement.host, root.slurm_ntasks));
}

void advise_on_cores(Lines& advice, const std::vector<RankFacts>& ranks, const std::vector<Host>& hosts) {
  advise_once(
      advice, hosts, "host", [](const Host& host) { return host.is_confined_to_one_core(); },
      [](const Host& host) {
        return fmt::format(
            "{}: all {} ranks may use only core {} of {}: start them with mpirun --bind-to none (launch/mpirun.sh "
            "adds it), with srun --cpus-per-task, or without taskset",
            host.name, host.ranks.size(), comm::describe_cores(host.cores()), host.first().host_cores);
      });
  advise_once(
      advice, hosts, "host", [](const Host& host) { return host.first().launcher_cores.size() > host.cores().size(); },
      [](const Host& host) {
        return fmt::format(
            "{}: mpirun may use {} cores, but binds its ranks to {} of them ({}): add --bind-to none (launch/mpirun.sh "
            "does)",
            host.name, host.first().launcher_cores.size(), host.cores().size(), comm::describe_cores(host.cores()));
      });
  advise_once(
      advice, ranks, "rank",
      [](const RankFacts& rank) {
        return std::atoi(rank.slurm_cpus_per_task.c_str()) > static_cast<int>(rank.placement.cores.size());
      },
      [](const RankFacts& rank) {
        return fmt::format(
            "{}: may use {} of the {} cores per task that the job requested: srun no longer inherits them from "
            "sbatch; add --cpus-per-task=$SLURM_CPUS_PER_TASK to srun",
            name_rank(rank), rank.placement.cores.size(), rank.slurm_cpus_per_task);
      });
  std::vector<comm::Placement> placements;
  for (const Host& host : hosts) {
    if (host.is_confined_to_one_core()) continue;  // already reported above
    for (const RankFacts* rank : host.ranks) placements.push_back(rank->placement);
  }
  if (const auto found = comm::find_oversubscription(placements)) advice.push_back(describe(*found));
}

void advise_on_threads(Lines& advice, const std::vector<RankFacts>& ranks) {
  const auto threads = [](const RankFacts& rank) { return rank.placement.threads; };
  const RankFacts& least = *std::ranges::min_element(ranks, {}, threads);
  const RankFacts& most = *std::ranges::max_element(ranks, {}, threads);
  if (least.placement.threads == most.placement.threads) return;
  advice.push_back(
      fmt::format("{} computes with {} thread{}, {} with {}: every step waits for the slowest; give all ranks the same "
                  "number of cores (srun --ntasks-per-node; mpirun --map-by ppr:N:node)",
                  name_rank(least), least.placement.threads, least.placement.threads == 1 ? "" : "s", name_rank(most),
                  most.placement.threads));
}

void advise_on_memory(Lines& advice, const std::vector<Host>& hosts) {
  const auto needed = [](const Host& host) {
    return host.ranks.size() * (host.first().gpus.empty() ? kSharedMemoryOfRank : kSharedMemoryOfGpuRank);
  };
  advise_once(
      advice, hosts, "host", [&](const Host& host) { return host.first().free_shared_memory_bytes < needed(host); },
      [&](const Host& host) {
        return fmt::format(
            "{}: /dev/shm has {:.0f} MiB free of {:.0f}, and {} rank{} may need {:.0f}: remove files from it, or "
            "enlarge it (docker run --shm-size=1g; mount -o remount,size=1g /dev/shm)",
            host.name, mebibytes(host.first().free_shared_memory_bytes), mebibytes(host.first().shared_memory_bytes),
            host.ranks.size(), host.ranks.size() == 1 ? "" : "s", mebibytes(needed(host)));
      });
  advise_once(
      advice, hosts, "host",
      [](const Host& host) {
        const bool has_infiniband = std::ranges::any_of(host.first().adapters, &NetworkAdapter::is_infiniband);
        const std::int64_t bytes = host.first().lockable_bytes;
        return has_infiniband && bytes >= 0 && bytes < kLockableForInfiniband;
      },
      [](const Host& host) {
        return fmt::format(
            "{}: {:.3g} MiB of memory may be locked, and InfiniBand needs much more: ulimit -l unlimited before the "
            "start (memlock in /etc/security/limits.conf; LimitMEMLOCK of slurmd)",
            host.name, mebibytes(static_cast<std::uint64_t>(host.first().lockable_bytes)));
      });
}

void advise_on_versions(Lines& advice, const std::vector<RankFacts>& ranks) {
  advise_once(
      advice, ranks, "rank", [](const RankFacts& rank) { return !rank.wrong_library.empty(); },
      [](const RankFacts& rank) { return fmt::format("{}: {}", name_rank(rank), rank.wrong_library); });
  const RankFacts& root = ranks.front();
  for (std::size_t i = 0; i < root.versions.size(); ++i) {
    const std::string &library = root.versions[i].first, &version = root.versions[i].second;
    const auto version_of = [i](const RankFacts& rank) {
      return i < rank.versions.size() ? rank.versions[i].second : "";
    };
    advise_once(
        advice, ranks, "rank",
        [&](const RankFacts& rank) { return rank.wrong_library.empty() && version_of(rank) != version; },
        [&](const RankFacts& rank) {
          return fmt::format("{} has {} {}, {} has {}: load the same modules, and start the same program, on all hosts",
                             name_rank(rank), library, version_of(rank), name_rank(root), version);
        });
  }
}

void advise_on_files(Lines& advice, const std::vector<RankFacts>& ranks) {
  advise_once(
      advice, ranks, "rank", [](const RankFacts& rank) { return !rank.file_locks.flock.empty(); },
      [](const RankFacts& rank) {
        return fmt::format(
            "{}: flock does not work in {} ({}): processes that share a download or a preparation there may write the "
            "same file; prepare with one process, or use a file system with locks (Lustre: -o flock)",
            name_rank(rank), rank.folder, rank.file_locks.flock);
      });
  advise_once(
      advice, ranks, "rank",
      [](const RankFacts& rank) { return !rank.file_locks.fcntl.empty() && rank.hdf5_use_file_locking != "FALSE"; },
      [](const RankFacts& rank) {
        return fmt::format(
            "{}: fcntl's locks do not work in {} ({}): Lockstep does not need them for HDF5; for other programs that "
            "read shards, export HDF5_USE_FILE_LOCKING=FALSE",
            name_rank(rank), rank.folder, rank.file_locks.fcntl);
      });
}

void advise_on_clocks(Lines& advice, const std::vector<RankFacts>& ranks) {
  const RankFacts& furthest =
      std::ranges::max(ranks, {}, [](const RankFacts& rank) { return std::abs(rank.clock_ahead_s); });
  if (std::abs(furthest.clock_ahead_s) <= kClockDifference_s) return;
  advice.push_back(fmt::format(
      "{}: its clock is {:.1f} s {} that of {}: times in logs and of files are misleading; run chrony or ntp",
      name_rank(furthest), std::abs(furthest.clock_ahead_s), furthest.clock_ahead_s > 0 ? "ahead of" : "behind",
      name_rank(ranks.front())));
}

}  // namespace

std::vector<std::string> advise(const std::vector<RankFacts>& ranks) {
  const std::vector<Host> hosts = hosts_of(ranks);
  Lines advice;
  advise_on_launch(advice, ranks);
  advise_on_cores(advice, ranks, hosts);
  advise_on_threads(advice, ranks);
  advise_on_memory(advice, hosts);
  advise_on_versions(advice, ranks);
  advise_on_files(advice, ranks);
  advise_on_clocks(advice, ranks);
  return advice;
}

}  // namespace lockstep::cli
