#include "cli/doctor/report.h"

#include <fmt/format.h>
#include <algorithm>
#include <set>
#include <utility>

namespace lockstep::cli {
namespace {

constexpr std::size_t kNamedHosts = 8;

std::string format_bytes(double bytes) {
  for (const char* unit : {"B", "KiB", "MiB", "GiB"}) {
    if (bytes < 1024) return fmt::format("{:.4g} {}", bytes, unit);
    bytes /= 1024;
  }
  return fmt::format("{:.4g} TiB", bytes);
}

std::string format_numa(int node) { return node < 0 ? "" : fmt::format(", NUMA node {}", node); }

std::string or_not_set(const std::string& variable) { return variable.empty() ? "not set" : variable; }

std::string format_ranks(const std::vector<RankFacts>& ranks) {
  std::size_t host_width = 4, cores_width = 5;
  for (const RankFacts& rank : ranks) {
    host_width = std::max(host_width, rank.placement.host.size());
    cores_width = std::max(cores_width, comm::describe_cores(rank.placement.cores).size());
  }
  std::string text = fmt::format("{:>5}  {:<{}}  {:<{}}  {:>7}  {:>11}  {:>9}\n", "rank", "host", host_width, "cores",
                                 cores_width, "threads", "lockable", "clock");
  for (const RankFacts& rank : ranks) {
    text += fmt::format("{:>5}  {:<{}}  {:<{}}  {:>7}  {:>11}  {:>+7.3f} s\n", rank.rank, rank.placement.host,
                        host_width, comm::describe_cores(rank.placement.cores), cores_width, rank.placement.threads,
                        rank.lockable_bytes < 0 ? "unlimited" : format_bytes(static_cast<double>(rank.lockable_bytes)),
                        rank.clock_ahead_s);
  }
  return text;
}

std::string describe_locks(const FileLocks& locks) {
  if (locks.fcntl.empty() && locks.flock.empty()) return "file locks work";
  return fmt::format("fcntl: {}; flock: {}", locks.fcntl.empty() ? "works" : locks.fcntl,
                     locks.flock.empty() ? "works" : locks.flock);
}

// Describes a host as its first rank sees it.
std::string describe_host(const RankFacts& rank) {
  std::string text = fmt::format("  {} core{} online, OMP_NUM_THREADS {}\n", rank.host_cores,
                                 rank.host_cores == 1 ? "" : "s", or_not_set(rank.omp_num_threads));
  text += fmt::format("  /dev/shm: {}, {} of it free\n", format_bytes(static_cast<double>(rank.shared_memory_bytes)),
                      format_bytes(static_cast<double>(rank.free_shared_memory_bytes)));
  for (const NetworkAdapter& adapter : rank.adapters) {
    text += fmt::format("  network {}: {}{}\n", adapter.name, adapter.rate.empty() ? "rate unknown" : adapter.rate,
                        format_numa(adapter.numa_node));
  }
  for (const Gpu& gpu : rank.gpus) {
    text += fmt::format("  GPU {}: {}{}{}\n", gpu.address, gpu.model.empty() ? "NVIDIA, driver not loaded" : gpu.model,
                        format_numa(gpu.numa_node),
                        gpu.nearest_adapter.empty() ? "" : fmt::format(", nearest to {}", gpu.nearest_adapter));
  }
  text += fmt::format("  {}: {}; HDF5_USE_FILE_LOCKING {}\n", rank.folder, describe_locks(rank.file_locks),
                      or_not_set(rank.hdf5_use_file_locking));
  return text;
}

std::string format_hosts(const std::vector<RankFacts>& ranks) {
  std::vector<std::pair<std::string, std::vector<std::string>>> alike;  // description, hosts
  std::set<std::string> seen;
  for (const RankFacts& rank : ranks) {
    if (!seen.insert(rank.placement.host).second) continue;
    const std::string description = describe_host(rank);
    auto found = std::ranges::find(alike, description, [](const auto& entry) { return entry.first; });
    if (found == alike.end()) found = alike.insert(alike.end(), {description, {}});
    found->second.push_back(rank.placement.host);
  }
  std::string text;
  for (const auto& [description, hosts] : alike) {
    const std::size_t named = std::min(hosts.size(), kNamedHosts);
    text +=
        fmt::format("\n{}{}\n{}", fmt::join(hosts.begin(), hosts.begin() + static_cast<std::ptrdiff_t>(named), ", "),
                    hosts.size() > named ? fmt::format(" and {} more", hosts.size() - named) : "", description);
  }
  return text;
}

std::string format_versions(const RankFacts& root) {
  std::vector<std::string> versions;
  for (const auto& [library, version] : root.versions) versions.push_back(fmt::format("{} {}", library, version));
  return fmt::format("\n{}\n", versions.empty() ? root.wrong_library : fmt::format("{}", fmt::join(versions, ", ")));
}

}  // namespace

std::string format_facts(const std::vector<RankFacts>& ranks) {
  return format_ranks(ranks) + format_hosts(ranks) + format_versions(ranks.front());
}

std::string format_timings(const std::vector<AllReduceTiming>& timings, int ranks) {
  if (timings.empty()) return "";
  std::string text = fmt::format("\nall-reduce of {} ranks over MPI\n{:>10}  {:>10}  {:>13}\n", ranks, "bytes", "time",
                                 "bus bandwidth");
  for (const AllReduceTiming& timing : timings) {
    text += fmt::format("{:>10}  {:>7.3f} ms  {:>8.3f} GB/s\n", timing.bytes, timing.seconds * 1e3,
                        bus_bandwidth(timing, ranks) / 1e9);
  }
  return text;
}

std::string format_advice(const std::vector<std::string>& advice) {
  if (advice.empty()) return "\nnothing is wrong\n";
  std::string text = "\nadvice:\n";
  for (const std::string& line : advice) text += fmt::format("- {}\n", line);
  return text;
}

}  // namespace lockstep::cli
