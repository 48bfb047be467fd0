#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/ranks.h"
#include "lockstep/comm/stop_requests.h"
#include "lockstep/core/stop_flag.h"
#include "lockstep/data/job_sets.h"
#include "lockstep/data/model_folder.h"
#include "lockstep/data/shards/shard_reader.h"
#include "lockstep/generation/pretrained_model.h"
#include "lockstep/job/job_file.h"
#include "lockstep/models/pretrained.h"
#include "lockstep/text/load_tokenizer.h"
#include "lockstep/train/generation_model_trainer.h"
#include "lockstep/train/same_inputs.h"

namespace lockstep::cli {
namespace {

struct TrainArguments {
  std::string job;
  std::vector<std::string> overrides;
  std::uint64_t profiled_steps = 0;
};

constexpr const char* kNothingToSave = "there was nothing to save yet; run the same command again";

// What every rank reads before training starts.
struct Inputs {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const TokenizedDataset> training;
  std::shared_ptr<const TokenizedDataset> validation;  // null if the job has no validation set
};

// Only the root reads all shards to check their digests; the other ranks rely on it.
data::VerifyShards verify_on_root(const Communicator& communicator) {
  return communicator.is_root() ? data::VerifyShards::kYes : data::VerifyShards::kNo;
}

// Opens a set that lockstep-prep prepared. Throws InputError if it was prepared with other settings than the job's.
std::shared_ptr<const data::PreparedDataset> open_set(const job::JobFile& job, const data::JobSet& set,
                                                      const data::Manifest& wanted, data::VerifyShards verify) {
  const std::filesystem::path folder = std::filesystem::path(job.prepared_dir) / set.folder;
  std::shared_ptr<const data::PreparedDataset> dataset = data::PreparedDataset::open(folder, verify);
  if (const auto differs = wanted.difference_of_settings(dataset->manifest()); !differs.empty()) {
    throw InputError(
        fmt::format("{}: expected the data that lockstep-prep makes from this job, found {}; run lockstep-prep again",
                    folder.string(), differs));
  }
  return dataset;
}

// Warns if the job names other datasets than those that were prepared: they may have changed without being prepared
// again, or only their files may have moved.
void warn_of_other_datasets(const job::JobFile& job, const data::JobSet& set, const data::Manifest& prepared) {
  if (data::names_sources(job, set, prepared.sources)) return;
  std::vector<std::string> read;
  for (const auto& source : prepared.sources) read.push_back(source.path);
  spdlog::warn("{} data: prepared from {}, while the job names {}; if the rows differ, run lockstep-prep again",
               set.name, fmt::join(read, ", "), fmt::join(set.locations, ", "));
}

// A run must not replace the model that it starts from.
void check_output_folder(const std::string& output_dir, const hub::ResolvedModel& model) {
  for (const auto& folder : {model.folder, model.adapter}) {
    std::error_code error;
    if (folder.empty() || !std::filesystem::equivalent(output_dir, folder, error)) continue;
    throw InputError(fmt::format(
        "output_dir: expected another folder than the one of pretrained_model_name, found {}, which names {}; give "
        "another output_dir",
        output_dir, folder.string()));
  }
}

hub::ResolvedModel find_model(const job::JobFile& job, Communicator& communicator) {
  const bool reads_weights = !job.from_scratch && (communicator.is_root() || job.weights_io == job::WeightsIo::kEach);
  hub::ResolveOptions options;
  options.files = reads_weights ? hub::ModelFiles::kAll : hub::ModelFiles::kWithoutWeights;
  options.before_weights = [&](const std::filesystem::path& folder) {
    data::check_has_encoder(data::describe_model_folder(folder), job.has_encoder, folder);
  };
  return generation::resolve_on_ranks(job.pretrained_model_name, options, hub::hub_settings_from_environment,
                                      communicator);
}

Inputs read_inputs(const job::JobFile& job, const hub::ResolvedModel& resolved, const Communicator& communicator) {
  Inputs inputs;
  const std::filesystem::path& folder = resolved.folder;
  const std::filesystem::path validation = std::filesystem::path(job.prepared_dir) / "validation";
  const data::ModelFolder model = data::describe_model_folder(folder);
  data::check_has_encoder(model, job.has_encoder, folder);
  inputs.tokenizer = load_tokenizer(resolved.tokenizer, folder);
  data::check_vocabulary(*inputs.tokenizer, model.vocabulary_size);
  const auto max_length = data::find_length_limit(job.model_max_length, *inputs.tokenizer, model.max_positions).tokens;
  const std::vector<data::JobSet> sets = data::sets_of(job);
  for (const data::JobSet& set : sets) {
    const data::Manifest wanted = data::describe_set(job, set, model, *inputs.tokenizer, max_length);
    const auto prepared = open_set(job, set, wanted, verify_on_root(communicator));
    if (communicator.is_root()) warn_of_other_datasets(job, set, prepared->manifest());
    (set.folder == "train" ? inputs.training : inputs.validation) = prepared;
  }
  if (sets.size() == 1 && std::filesystem::exists(validation)) {
    throw InputError(
        fmt::format("{}: expected no validation set, because the job has neither validation_datasets nor "
                    "validation_split, found one; run lockstep-prep again with this job",
                    validation.string()));
  }
  return inputs;
}

std::shared_ptr<LanguageModel> make_model(const job::JobFile& job, const hub::ResolvedModel& resolved,
                                          Communicator& communicator) {
  if (!job.from_scratch) return generation::load_on_ranks(resolved, job.weights_io, communicator);
  std::shared_ptr<LanguageModel> model;
  comm::run_on_all(communicator, [&] {
    model = models::create_model(resolved.folder, static_cast<std::uint64_t>(job.hyperparameters.seed));
  });
  return model;
}

// Returns all keys except prepared_dir, which may differ between nodes; the content of the sets is compared instead.
comm::SharedFacts settings_of(const job::JobFile& job) {
  comm::SharedFacts settings = job.values();
  std::erase_if(settings, [](const auto& setting) { return setting.first == "prepared_dir"; });
  return settings;
}

void train(const TrainArguments& arguments, const std::shared_ptr<Communicator>& communicator) {
  job::JobFile job;
  comm::run_on_all(*communicator, [&] { job = job::load_job_file(arguments.job, arguments.overrides); });
  train::check_same_settings(*communicator, settings_of(job));
  StopRequests stop_requests(communicator, {.file = std::filesystem::path(job.hyperparameters.output_dir) / "STOP",
                                            .end = comm::end_of_job(job.hyperparameters.max_run_minutes)});
  comm::run_on_all(*communicator, [&] { stop_requests.clear_old(); });
  stop_requests.check(kNothingToSave);
  const hub::ResolvedModel resolved = find_model(job, *communicator);
  comm::run_on_all(*communicator, [&] { check_output_folder(job.hyperparameters.output_dir, resolved); });
  stop_requests.check(kNothingToSave);
  Inputs inputs;
  comm::run_on_all(*communicator, [&] { inputs = read_inputs(job, resolved, *communicator); });
  stop_requests.check(kNothingToSave);
  // Checked before the weights are loaded, which takes longer. TrainingLoop compares all of its arguments again.
  train::check_same_data(*communicator, *inputs.training, inputs.validation.get());
  const TrainedModel model{make_model(job, resolved, *communicator), inputs.tokenizer};
  stop_requests.check(kNothingToSave);
  GenerationModelTrainer trainer(model, std::nullopt, communicator);
  trainer.set_profiled_steps(arguments.profiled_steps);
  trainer.train_tokenized(inputs.training, inputs.validation, job.hyperparameters,
                          {job.pretrained_model_name, job.from_scratch, job.to_text()});
}

}  // namespace

void add_train_command(CLI::App& app) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* command = app.add_subcommand("train",
                                         "Fine-tunes a model on the data that lockstep-prep prepared from the same job "
                                         "file, as one process or under mpirun or srun.");
  command->add_option("JOB.yaml", arguments->job, "job file")->required();
  command->add_option("key=value", arguments->overrides, "values that replace those of the job file");
  command
      ->add_option(
          "--profile", arguments->profiled_steps,
          "record this many steps, from the fourth one on: a Chrome trace of each rank in output_dir/profile, and a "
          "table in the log of where rank 0 spends its time")
      ->type_name("STEPS")
      ->check(CLI::Range(1, 1 << 30));
  command->footer("Keys of the job file [default]:\n" + job::describe_job_keys());
  command->callback([arguments] {
    core::install_stop_signals();
    run_on_ranks([&](const std::shared_ptr<Communicator>& communicator) { train(*arguments, communicator); });
  });
}

}  // namespace lockstep::cli
