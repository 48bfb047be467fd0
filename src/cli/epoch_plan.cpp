#include "epoch_plan.h"

#include <algorithm>
#include <filesystem>

#include "lockstep/data/job_sets.h"
#include "lockstep/data/shard_reader.h"
#include "lockstep/data/split.h"
#include "lockstep/hub/resolve.h"
#include "lockstep/models/pretrained.h"
#include "lockstep/train/batch_sizes.h"
#include "lockstep/train/global_batches.h"

namespace lockstep {
namespace {

void add_step(EpochPlan& epoch, const StepPlan& step) {
  double sum = 0, most = 0;
  std::size_t most_micro_batches = 0;
  for (const auto& rank : step.ranks) {
    double cost = 0;
    for (const MicroBatch& micro_batch : rank) {
      cost += micro_batch.cost;
      epoch.largest_micro_batch = std::max(epoch.largest_micro_batch, micro_batch.tokens);
    }
    sum += cost;
    most = std::max(most, cost);
    most_micro_batches = std::max(most_micro_batches, rank.size());
    epoch.micro_batches += rank.size();
  }
  const double mean = sum / static_cast<double>(step.ranks.size());
  const double share = 1 / static_cast<double>(epoch.steps);
  epoch.tokens += step.tokens;
  epoch.padding += share * step.padding;
  epoch.balance += share * mean / most;
  epoch.mean_cost += share * mean;
  epoch.most_cost += share * most;
  epoch.most_micro_batches += share * static_cast<double>(most_micro_batches);
}

}  // namespace

std::shared_ptr<const TokenizedDataset> open_training_rows(const JobFile& job) {
  const auto prepared = std::filesystem::path(job.prepared_dir);
  std::shared_ptr<const TokenizedDataset> training = PreparedDataset::open(prepared / "train", VerifyShards::no);
  const Hyperparameters& hyperparameters = job.hyperparameters;
  const bool has_validation = sets_of(job).size() > 1;
  if (has_validation || !job.has_encoder || hyperparameters.evaluation_strategy == "no") return training;
  return split_for_validation(training, hyperparameters.test_size, static_cast<std::uint64_t>(hyperparameters.seed))
      .training;
}

std::shared_ptr<LanguageModel> build_model_of(const JobFile& job) {
  const ResolvedModel resolved =
      resolve_model(job.pretrained_model_name, {.files = ModelFiles::without_weights}, hub_settings_of_environment);
  return build_model(resolved.folder);
}

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

}  // namespace lockstep
