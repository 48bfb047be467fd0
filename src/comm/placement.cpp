#include "lockstep/comm/placement.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace lockstep::comm {
namespace {

// Returns the sets of cores of a host's ranks, and their union.
std::set<std::vector<int>> sets_of_cores(const std::vector<const Placement*>& ranks) {
  std::set<std::vector<int>> sets;
  std::set<int> together;
  for (const Placement* rank : ranks) {
    sets.insert(rank->cores);
    together.insert(rank->cores.begin(), rank->cores.end());
  }
  sets.emplace(together.begin(), together.end());
  return sets;
}

bool is_more_oversubscribed(const Oversubscription& a, const Oversubscription& b) {
  const auto left = a.threads * static_cast<std::int64_t>(b.cores.size());
  const auto right = b.threads * static_cast<std::int64_t>(a.cores.size());
  return left != right ? left > right : a.host == b.host && a.cores.size() > b.cores.size();
}

}  // namespace

std::vector<int> cores_of_process(int process) {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (::sched_getaffinity(process, sizeof set, &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

Placement own_placement(int threads) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return {host.data(), cores_of_process(0), threads};
}

std::vector<Placement> gather_placements(Communicator& communicator, int threads) {
  std::vector<Placement> placements;
  for (const std::string& text : all_gather_texts(communicator, nlohmann::json(own_placement(threads)).dump())) {
    placements.push_back(nlohmann::json::parse(text).get<Placement>());
  }
  return placements;
}

std::string describe_cores(const std::vector<int>& cores) {
  std::string text;
  for (std::size_t i = 0; i < cores.size();) {
    std::size_t last = i;
    while (last + 1 < cores.size() && cores[last + 1] == cores[last] + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", cores[i]);
    if (last > i) text += fmt::format("-{}", cores[last]);
    i = last + 1;
  }
  return text;
}

std::optional<Oversubscription> find_oversubscription(const std::vector<Placement>& ranks) {
  std::vector<std::string> hosts;  // in order of their ranks
  std::map<std::string, std::vector<const Placement*>> ranks_of;
  for (const Placement& rank : ranks) {
    auto& of_host = ranks_of[rank.host];
    if (of_host.empty()) hosts.push_back(rank.host);
    of_host.push_back(&rank);
  }
  std::optional<Oversubscription> worst;
  for (const std::string& host : hosts) {
    for (const std::vector<int>& cores : sets_of_cores(ranks_of[host])) {
      Oversubscription found{.host = host, .cores = cores};
      for (const Placement* rank : ranks_of[host]) {
        if (!std::ranges::includes(cores, rank->cores)) continue;
        ++found.ranks;
        found.threads += rank->threads;
      }
      const bool is_crowded = found.threads > static_cast<int>(cores.size());
      if (is_crowded && (!worst || is_more_oversubscribed(found, *worst))) worst = std::move(found);
    }
  }
  return worst;
}

std::string describe(const Oversubscription& found) {
  const auto cores = static_cast<int>(found.cores.size());
  const std::string remedy =
      found.ranks > cores
          ? fmt::format("start at most {} there, or give them more cores (mpirun --bind-to none; srun --cpus-per-task)",
                        cores)
          : fmt::format("set threads_per_rank or OMP_NUM_THREADS to at most {}, or leave both out",
                        cores / found.ranks);
  return fmt::format("{}: {} rank{} compute{} with {} threads on {} core{} ({}), for which they compete: {}",
                     found.host, found.ranks, found.ranks == 1 ? "" : "s", found.ranks == 1 ? "s" : "", found.threads,
                     cores, cores == 1 ? "" : "s", describe_cores(found.cores), remedy);
}

}  // namespace lockstep::comm
