#pragma once

#include "lockstep/comm/agreement.h"
#include "lockstep/comm/communicator.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/models/model.h"

namespace lockstep::train {

// All ranks of a job must start from the same inputs; otherwise some would follow gradients of another model or of
// other rows. These functions compare the ranks and throw as check_agreement() does. With one rank the checks do
// nothing.

/// Compares Lockstep's version and `settings`: keys and values, as Hyperparameters::values() and JobFile::values()
/// return them.
void check_same_settings(Communicator& communicator, const comm::SharedFacts& settings);

/// Returns digests of the content and tokenizer of both sets; `validation` may be null.
comm::SharedFacts data_facts(const TokenizedDataset& training, const TokenizedDataset* validation);

/// Returns the model's configuration and a 64-bit hash of the bytes of each of its parameters.
comm::SharedFacts model_facts(const LanguageModel& model);

/// Compares data_facts().
void check_same_data(Communicator& communicator, const TokenizedDataset& training, const TokenizedDataset* validation);

/// Compares model_facts().
void check_same_model(Communicator& communicator, const LanguageModel& model);

}  // namespace lockstep::train
