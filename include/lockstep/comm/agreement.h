#pragma once

#include <string>
#include <utility>
#include <vector>

#include "lockstep/comm/communicator.h"

namespace lockstep::comm {

/// What every rank of a job must have alike: names, and values that are fit for a message (of what is long, a digest).
/// Names are told once each.
using SharedFacts = std::vector<std::pair<std::string, std::string>>;

/// "seed: expected 1, found 2; ...": the first few facts that differ, one of them lacking counts, too. Empty: none
/// does.
std::string describe_differences(const SharedFacts& expected, const SharedFacts& found);

/// Compares every rank's facts, whose names may differ, too, with those of rank 0. If any differ, the lowest rank that
/// differs throws InputError, which names the ranks that do, the host of rank 0, the first few of the facts with both
/// values, and `remedy`; all others throw PeerFailed.
void check_agreement(Communicator& communicator, const SharedFacts& facts, const std::string& remedy);

/// Throws InputError if the launcher of this process says that it started another number of ranks than `world_size`, as
/// MPI has it: an MPI that does not understand its launcher makes every process a world of its own. Of these, all but
/// the launcher's first throw PeerFailed.
void check_world_size(int world_size);

/// Of processes that cannot speak to each other, one gives their common message: throws PeerFailed where `variable`, by
/// which the launcher numbers them, is not 0.
void leave_message_to_first(const char* variable);

}  // namespace lockstep::comm
