#pragma once

#include <cstdint>

#include "lockstep/batching/batch_plan.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/job/hyperparameters.h"

namespace lockstep::batching {

/// Totals and means of plan_step() over an epoch.
struct EpochPlan {
  std::uint64_t steps = 0, micro_batches = 0;
  std::uint64_t tokens = 0;
  std::uint64_t largest_micro_batch = 0;  // in tokens
  // Means over the steps:
  double padding = 0;                 // share of the cost that is padding
  double balance = 0;                 // mean cost of a rank / cost of the most loaded rank
  double mean_cost = 0;               // of a rank
  double max_rank_cost = 0;           // of the most loaded rank
  double max_rank_micro_batches = 0;  // of the rank with the most micro-batches
};

/// Plans all steps of an epoch. `epoch` counts from 0. `token_limit` applies if max_tokens_per_micro_batch is not set.
EpochPlan plan_epoch(const TokenizedDataset& training, const Hyperparameters& hyperparameters, const BatchCost& cost,
                     int ranks, std::uint64_t epoch, std::uint64_t token_limit);

}  // namespace lockstep::batching
