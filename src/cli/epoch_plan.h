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
  std::uint64_t tokens = 0, padded_tokens = 0;
  std::uint64_t largest_micro_batch = 0;  // in padded tokens
  // Means over the steps:
  double balance = 0;             // the mean rank's cost over that of the rank with most
  double mean_cost = 0;           // of a rank
  double most_cost = 0;           // of the rank with most
  double most_micro_batches = 0;  // of a rank

  double padding() const { return 1 - static_cast<double>(tokens) / static_cast<double>(padded_tokens); }
};

/// `epoch` counts from 0.
EpochPlan plan_epoch(const TokenizedDataset& training, const Hyperparameters& hyperparameters, const BatchCost& cost,
                     int ranks, std::uint64_t epoch);

}  // namespace lockstep
