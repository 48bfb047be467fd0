#pragma once

#include <memory>

#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/job/job_file.h"
#include "lockstep/models/model.h"

namespace lockstep::cli {

/// Returns the rows of the prepared job that `lockstep train` would train on.
std::shared_ptr<const TokenizedDataset> open_training_rows(const job::JobFile& job);

/// Returns the job's model with uninitialised weights, to inspect its shape.
std::shared_ptr<LanguageModel> build_model_of(const job::JobFile& job);

}  // namespace lockstep::cli
