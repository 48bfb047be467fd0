#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/comm/communicator.h"

namespace lockstep::comm {

/// Where a rank computes.
struct Placement {
  std::string host;
  std::vector<int> cores;  // that it may use, in rising order
  int threads = 1;         // that it computes with
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Placement, host, cores, threads)

/// The cores that a process of this host may use, in rising order; 0: this process. None if the kernel does not say.
std::vector<int> cores_of_process(int process);

/// This process's, with `threads` of LibTorch.
Placement own_placement(int threads);

/// Every rank's, on every rank.
std::vector<Placement> gather_placements(Communicator& communicator, int threads);

/// "0-7,16", as the kernel and taskset write them.
std::string describe_cores(const std::vector<int>& cores);

/// Ranks of a host that together compute with more threads than they may use cores.
struct Oversubscription {
  std::string host;
  int ranks = 0;
  int threads = 0;  // of all of them
  std::vector<int> cores;
};

/// Of the host that has the most threads a core, its most crowded cores; none if no core has two threads. Ranks count
/// for a set of cores if they may use no others, so that this is right for ranks that are bound to cores of their own,
/// to some that they share, and to none. Of sets that are equally crowded, the largest of the first host.
std::optional<Oversubscription> find_oversubscription(const std::vector<Placement>& ranks);

/// In one line, with the remedy.
std::string describe(const Oversubscription& found);

}  // namespace lockstep::comm
