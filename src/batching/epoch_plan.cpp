#include "lockstep/batching/epoch_plan.h"

#include <algorithm>

#include "lockstep/batching/batch_sizes.h"
#include "lockstep/batching/global_batches.h"

namespace lockstep::batching {
namespace {

void add_step(EpochPlan& epoch, const StepPlan& step) {
  double sum = 0, most = 0;
  std::size_t max_rank_micro_batches = 0;
  for (const auto& rank : step.ranks) {
    double cost = 0;
    for (const MicroBatch& micro_batch : rank) {
      cost += micro_batch.cost;
      epoch.largest_micro_batch = std::max(epoch.largest_micro_batch, micro_batch.tokens);
    }
    sum += cost;
    most = std::max(most, cost);
    max_rank_micro_batches = std::max(max_rank_micro_batches, rank.size());
    epoch.micro_batches += rank.size();
  }
  const double mean = sum / static_cast<double>(step.ranks.size());
  const double share = 1 / static_cast<double>(epoch.steps);
  epoch.tokens += step.tokens;
  epoch.padding += share * step.padding;
  epoch.balance += share * mean / most;
  epoch.mean_cost += share * mean;
  epoch.max_rank_cost += share * most;
  epoch.max_rank_micro_batches += share * static_cast<double>(max_rank_micro_batches);
}

}  // namespace

EpochPlan plan_epoch(const TokenizedDataset& training, const Hyperparameters& hyperparameters, const BatchCost& cost,
                     int ranks, std::uint64_t epoch, std::uint64_t token_limit) {
  const std::uint64_t batch = global_batch_rows(hyperparameters, ranks);
  const MicroBatchLimits limits = micro_batch_limits(hyperparameters, batch, ranks, token_limit);
  GlobalBatches batches(training.size(), batch, static_cast<std::uint64_t>(hyperparameters.seed));
  EpochPlan result{.steps = batches.steps_per_epoch()};
  for (std::uint64_t step = 0; step < result.steps; ++step) {
    add_step(result, plan_step(training, batches.at(epoch * result.steps + step), limits, ranks, cost));
  }
  return result;
}

}  // namespace lockstep::batching
