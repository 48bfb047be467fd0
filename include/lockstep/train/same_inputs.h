#pragma once

#include "lockstep/comm/agreement.h"
#include "lockstep/comm/communicator.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/models/model.h"

namespace lockstep::train {

// All ranks of a job must start from the same: else each would follow gradients that belong to another model or to
// other rows. The functions compare the ranks, and throw as check_agreement() does. With one rank they do nothing.

/// Lockstep's version, and `settings`: keys and values, as Hyperparameters::values() and JobFile::values() give them.
void check_same_settings(Communicator& communicator, const comm::SharedFacts& settings);

/// Both sets' content and tokenizer; `validation` may be null.
comm::SharedFacts data_facts(const TokenizedDataset& training, const TokenizedDataset* validation);

/// The model's configuration and the bytes of its parameters, by a 64-bit hash of each.
comm::SharedFacts model_facts(const LanguageModel& model);

/// By data_facts().
void check_same_data(Communicator& communicator, const TokenizedDataset& training, const TokenizedDataset* validation);

/// By model_facts().
void check_same_model(Communicator& communicator, const LanguageModel& model);

}  // namespace lockstep::train
