#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/comm/communicator.h"

namespace lockstep::comm {

/// The host, cores and threads that a rank computes on.
struct Placement {
  std::string host;
  std::vector<int> cores;  // that it may use, in rising order
  int threads = 1;         // LibTorch threads
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Placement, host, cores, threads)

/// Returns the cores that a process of this host may use, in rising order; 0 means this process. Returns none if the
/// kernel does not tell.
std::vector<int> cores_of_process(int process);

/// Returns the placement of this process, which computes with `threads` LibTorch threads.
Placement own_placement(int threads);

/// Returns the placements of all ranks, on every rank.
std::vector<Placement> gather_placements(Communicator& communicator, int threads);

/// Formats cores as the kernel and taskset do: "0-7,16".
std::string describe_cores(const std::vector<int>& cores);

/// Ranks of a host that together compute with more threads than they have cores.
struct Oversubscription {
  std::string host;
  int ranks = 0;
  int threads = 0;  // of all these ranks
  std::vector<int> cores;
};

/// Returns the set of cores with the most threads per core, or nothing if no set has more threads than cores. A rank
/// counts for a set of cores if it may use no others, so that the result is right for ranks bound to cores of their
/// own, for ranks that share some, and for unbound ranks. Among equally crowded sets, the largest set of the first host
/// wins.
std::optional<Oversubscription> find_oversubscription(const std::vector<Placement>& ranks);

/// Describes an oversubscription in one line, with the remedy.
std::string describe(const Oversubscription& found);

}  // namespace lockstep::comm
