#pragma once

#include <filesystem>
#include <string>

#include "lockstep/comm/communicator.h"
#include "lockstep/hub/resolve.h"

namespace lockstep {

/// The folder of resolve_model() for each rank of a job: the root asks the hub where that is needed; the others take
/// the same commit, without the network, from the cache that the root has or else from their own. Throws on one rank
/// what is wrong, PeerFailed on the others.
std::filesystem::path resolve_on_ranks(const std::string& name, const ResolveOptions& options,
                                       const HubSettingsSource& settings, Communicator& communicator);

}  // namespace lockstep
