#pragma once

#include <cstdint>
#include <memory>

#include "lockstep/core/job_file.h"
#include "lockstep/data/batch_plan.h"
#include "lockstep/models/model.h"

namespace lockstep {

/// The rows that lockstep train would train on, of what lockstep-prep made of the job.
std::shared_ptr<const TokenizedDataset> open_training_rows(const JobFile& job);

/// The job's model for its shape alone: its weights are unset.
std::shared_ptr<LanguageModel> build_model_of(const JobFile& job);

/// What plan_step() makes of an epoch.
struct EpochPlan {
  std::uint64_t steps = 0, micro_batches = 0;
  std::uint64_t tokens = 0;
  std::uint64_t largest_micro_batch = 0;  // in tokens
  // Means over the steps:
  double padding = 0;             // share of the multiply-adds
  double balance = 0;             // the mean rank's cost over that of the rank with most
  double mean_cost = 0;           // of a rank
  double most_cost = 0;           // of the rank with most
  double most_micro_batches = 0;  // of a rank
};

/// `epoch` counts from 0. `token_limit` holds where the job gives no max_tokens_per_micro_batch.
EpochPlan plan_epoch(const TokenizedDataset& training, const Hyperparameters& hyperparameters, const BatchCost& cost,
                     int ranks, std::uint64_t epoch, std::uint64_t token_limit);

}  // namespace lockstep
