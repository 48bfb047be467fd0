#pragma once

#include <memory>

#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/job/job_file.h"
#include "lockstep/models/model.h"

namespace lockstep::cli {

/// The rows that lockstep train would train on, of what lockstep-prep made of the job.
std::shared_ptr<const TokenizedDataset> open_training_rows(const job::JobFile& job);

/// The job's model for its shape alone: its weights are unset.
std::shared_ptr<LanguageModel> build_model_of(const job::JobFile& job);

}  // namespace lockstep::cli
