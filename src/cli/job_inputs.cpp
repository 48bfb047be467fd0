#include "cli/job_inputs.h"

#include <filesystem>

#include "lockstep/data/job_sets.h"
#include "lockstep/data/shards/shard_reader.h"
#include "lockstep/data/split.h"
#include "lockstep/hub/resolve.h"
#include "lockstep/models/pretrained.h"

namespace lockstep::cli {

std::shared_ptr<const TokenizedDataset> open_training_rows(const job::JobFile& job) {
  const auto prepared = std::filesystem::path(job.prepared_dir);
  std::shared_ptr<const TokenizedDataset> training =
      data::PreparedDataset::open(prepared / "train", data::VerifyShards::kNo);
  const Hyperparameters& hyperparameters = job.hyperparameters;
  const bool has_validation = data::sets_of(job).size() > 1;
  const bool is_evaluated = hyperparameters.evaluation_strategy != job::EvaluationStrategy::kNo;
  if (has_validation || !job.has_encoder || !is_evaluated) return training;
  return data::split_for_validation(training, hyperparameters.test_size,
                                    static_cast<std::uint64_t>(hyperparameters.seed))
      .training;
}

std::shared_ptr<LanguageModel> build_model_of(const job::JobFile& job) {
  const hub::ResolvedModel resolved = hub::resolve_model(
      job.pretrained_model_name, {.files = hub::ModelFiles::kWithoutWeights}, hub::hub_settings_from_environment);
  return models::build_model(resolved.folder);
}

}  // namespace lockstep::cli
