#pragma once

#include <cstdint>

#include "lockstep/batching/batch_plan.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/job/hyperparameters.h"

namespace lockstep::batching {

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

}  // namespace lockstep::batching
