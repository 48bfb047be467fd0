#pragma once

#include <string>
#include <utility>
#include <vector>

#include "lockstep/comm/communicator.h"
#include "lockstep/core/launch_environment.h"

namespace lockstep::comm {

/// Facts that all ranks of a job must share, as pairs of a unique name and a value. Values are short enough for a
/// message; a long one is replaced by a digest.
using SharedFacts = std::vector<std::pair<std::string, std::string>>;

/// Returns the first few facts that differ, including facts that only one side has: "seed: expected 1, found 2; ...".
/// Returns an empty string if none differs.
std::string describe_differences(const SharedFacts& expected, const SharedFacts& found);

/// Compares every rank's facts with those of rank 0; the names may differ, too. If any rank differs, the lowest such
/// rank throws InputError, which names all ranks that differ, the host of rank 0, the first few facts with both values,
/// and `remedy`. All other ranks throw PeerFailed.
void check_agreement(Communicator& communicator, const SharedFacts& facts, const std::string& remedy);

/// Throws InputError if the launcher of this process announces a number of ranks other than `world_size`, which MPI
/// reports: an MPI that does not understand its launcher makes every process a world of its own. Only the launcher's
/// first process throws InputError; the others throw PeerFailed.
void check_world_size(int world_size);

/// Lets only the first of several processes that cannot communicate report their common error: throws PeerFailed if the
/// launcher gave this process a rank other than 0.
void throw_unless_first_process(const core::LaunchEnvironment::Ranks& launched);

}  // namespace lockstep::comm
