#pragma once

#include <memory>
#include <string>

#include "lockstep/comm/communicator.h"
#include "lockstep/hub/resolve.h"
#include "lockstep/models/model.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::generation {

/// resolve_model() for each rank of a job: the root asks the hub where that is needed; the others take the same commit,
/// without the network, from the cache that the root has or else from their own. Throws on one rank what is wrong,
/// PeerFailed on the others.
hub::ResolvedModel resolve_on_ranks(const std::string& name, const hub::ResolveOptions& options,
                                    const hub::HubSettingsSource& settings, Communicator& communicator);

/// The model, with its adapter if it has one, in fp32. Throws InputError naming what is missing, malformed or not
/// supported.
std::shared_ptr<LanguageModel> load_resolved(const hub::ResolvedModel& resolved);

/// Its tokenizer. Throws InputError also if the model has no rows for all ids.
std::shared_ptr<const Tokenizer> load_tokenizer_of(const hub::ResolvedModel& resolved);

/// Who reads the weights of a job's model.
enum class WeightsIo {
  each,      // every rank, its own files
  broadcast  // the root, which sends them parameter by parameter: the other ranks need config.json alone, and an
             // adapter
};

/// load_resolved() on every rank, with the time it took in the log. Throws on one rank what is wrong, PeerFailed on the
/// others.
std::shared_ptr<LanguageModel> load_on_ranks(const hub::ResolvedModel& resolved, WeightsIo io,
                                             Communicator& communicator);

}  // namespace lockstep::generation
