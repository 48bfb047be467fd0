#pragma once

#include <memory>
#include <string>

#include "lockstep/comm/communicator.h"
#include "lockstep/hub/resolve.h"
#include "lockstep/models/model.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::generation {

/// Calls resolve_model() on behalf of all ranks of a job. The root asks the hub if necessary; the others use the same
/// commit, without the network, from the root's cache or else from their own. Throws the error on the lowest rank that
/// fails, and PeerFailed on the others.
hub::ResolvedModel resolve_on_ranks(const std::string& name, const hub::ResolveOptions& options,
                                    const hub::HubSettingsSource& settings, Communicator& communicator);

/// Loads the model in fp32, with its adapter if it has one. Throws InputError naming what is missing, malformed or not
/// supported.
std::shared_ptr<LanguageModel> load_resolved(const hub::ResolvedModel& resolved);

/// Loads the model's tokenizer. Also throws InputError if the model's embedding lacks rows for some of its ids.
std::shared_ptr<const Tokenizer> load_tokenizer_of(const hub::ResolvedModel& resolved);

/// Runs load_resolved() on every rank, and logs the time that it took. Throws the error on the lowest rank that fails,
/// and PeerFailed on the others.
std::shared_ptr<LanguageModel> load_on_ranks(const hub::ResolvedModel& resolved, job::WeightsIo io,
                                             Communicator& communicator);

}  // namespace lockstep::generation
