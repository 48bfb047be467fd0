#include "cli/job_inputs.h"

#include <filesystem>

#include "lockstep/data/job_sets.h"
#include "lockstep/data/shards/shard_reader.h"
#include "lockstep/data/split.h"
#include "lockstep/hub/resolve.h"
#include "lockstep/models/pretrained.h"

namespace lockstep {

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

}  // namespace lockstep
