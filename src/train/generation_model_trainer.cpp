#include "lockstep/train/generation_model_trainer.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <chrono>
#include <utility>

#include "lockstep/comm/compute_device.h"
#include "lockstep/comm/stop_requests.h"
#include "lockstep/comm/threads.h"
#include "lockstep/core/atomic_file.h"
#include "lockstep/core/byte_size.h"
#include "lockstep/core/error.h"
#include "lockstep/core/folder_lock.h"
#include "lockstep/core/log.h"
#include "lockstep/data/model_folder.h"
#include "lockstep/data/split.h"
#include "lockstep/data/tokenize_datasets.h"
#include "lockstep/generation/pretrained_model.h"
#include "lockstep/models/adapters/lora.h"
#include "lockstep/models/special_ids.h"
#include "lockstep/train/checkpoints/checkpoint.h"
#include "lockstep/train/checkpoints/checkpoint_writer.h"
#include "lockstep/train/checkpoints/resume.h"
#include "lockstep/train/metric_sink.h"
#include "lockstep/train/training_loop.h"
#include "train/adapter.h"
#include "train/machine_peak.h"
#include "train/output_folder.h"
#include "train/step_profiler.h"

namespace lockstep::train {
namespace {

TrainedModel load(const std::string& name, bool has_encoder, Communicator& communicator) {
  const auto check = [&](const std::filesystem::path& folder) {
    data::check_has_encoder(data::describe_model_folder(folder), has_encoder, folder);
  };
  const auto resolved =
      generation::resolve_on_ranks(name, {.before_weights = check}, hub::hub_settings_from_environment, communicator);
  check(resolved.folder);
  return TrainedModel::load(resolved);
}

// `given` is the set that `used` comes from, or null if the rows were held out from the training rows.
std::optional<SetSummary> summarise_validation(const std::shared_ptr<const TokenizedDataset>& used,
                                               const std::shared_ptr<const TokenizedDataset>& given) {
  if (!used) return std::nullopt;
  return SetSummary::of(*used, given ? given->origin() : std::nullopt);
}

bool lies_in(const std::filesystem::path& path, const std::filesystem::path& folder) {
  std::error_code error;
  return std::filesystem::equivalent(std::filesystem::absolute(path).parent_path(), folder, error);
}

SaveOptions save_options(const Hyperparameters& hyperparameters) {
  return {.max_shard_bytes = core::parse_byte_size(hyperparameters.max_shard_size)};
}

}  // namespace

GenerationModelTrainer::GenerationModelTrainer(const std::string& pretrained_model_name, bool has_encoder,
                                               std::optional<std::size_t> model_max_length)
    : GenerationModelTrainer(pretrained_model_name, has_encoder, model_max_length, make_communicator()) {}

GenerationModelTrainer::GenerationModelTrainer(const std::string& pretrained_model_name, bool has_encoder,
                                               std::optional<std::size_t> model_max_length,
                                               const std::shared_ptr<Communicator>& communicator)
    : GenerationModelTrainer(load(pretrained_model_name, has_encoder, *communicator), model_max_length, communicator) {
  model_name_ = pretrained_model_name;
}

GenerationModelTrainer::GenerationModelTrainer(TrainedModel model, std::optional<std::size_t> model_max_length,
                                               std::shared_ptr<Communicator> communicator)
    : trained_(std::move(model)),
      requested_max_length_(model_max_length),
      communicator_(communicator ? std::move(communicator) : make_communicator()) {}

TrainedModel GenerationModelTrainer::train_model(const std::vector<Dataset>& training_datasets,
                                                 const HyperparameterChoices& hyperparameters,
                                                 const std::vector<Dataset>& validation_datasets) {
  trained_.check_complete();
  const Hyperparameters chosen = Hyperparameters::from_choices(hyperparameters);
  if (training_datasets.empty()) throw InputError("training_datasets: expected at least one dataset, found none");
  std::shared_ptr<const TokenizedDataset> training, validation;
  comm::run_on_all(*communicator_, [&] {
    training = tokenize(training_datasets);
    if (!validation_datasets.empty()) validation = tokenize(validation_datasets);
  });
  return train_tokenized(std::move(training), std::move(validation), chosen, {.model = model_name_});
}

TrainedModel GenerationModelTrainer::train_tokenized(std::shared_ptr<const TokenizedDataset> training,
                                                     std::shared_ptr<const TokenizedDataset> validation,
                                                     const Hyperparameters& hyperparameters, const RunOrigin& origin) {
  trained_.check_complete();
  if (!training) throw InputError("training: expected a tokenized dataset, found none");
  const at::AutoGradMode with_gradients(true);  // whatever the calling code has set
  comm::set_compute_threads(hyperparameters.threads_per_rank, *communicator_);
  const std::chrono::seconds timeout(hyperparameters.collective_timeout_s);
  communicator_->set_timeout(timeout);
  const std::filesystem::path output_dir = hyperparameters.output_dir;
  Validated data;
  comm::run_on_all(*communicator_, [&] {
    check_tokenizer(*training);
    if (validation) check_tokenizer(*validation);
    data = choose_validation(training, validation, hyperparameters);
    if (!data.validation && (hyperparameters.load_best_model_at_end || hyperparameters.early_stopping_patience > 0)) {
      throw InputError(
          "load_best_model_at_end, early_stopping_patience: expected a validation set, found none; give "
          "validation_datasets, or leave them out");
    }
    prepare_adapter(*trained_.model, hyperparameters);
    const auto parameters = trained_.model->parameters();
    if (std::ranges::none_of(parameters, [](const at::Tensor& parameter) { return parameter.requires_grad(); })) {
      throw InputError(
          "the model: expected a parameter that requires a gradient, found that all are frozen; call "
          "requires_grad_(true) on those to train");
    }
  });
  const comm::SharedFacts identity =
      run_identity(hyperparameters, *data.training, data.validation.get(), *trained_.model);
  // After the identity, which is that of the model as it was given.
  const auto changes = models::align_special_ids(*trained_.model, *trained_.tokenizer);
  if (!changes.empty()) {
    spdlog::info("special tokens of the model are those of its tokenizer: {}", fmt::join(changes, ", "));
  }
  std::optional<core::FolderLock> lock;  // on the root, from the first look for checkpoints to the end of the run
  comm::run_on_all(*communicator_, [&] {
    if (communicator_->is_root() && std::filesystem::is_directory(output_dir)) lock.emplace(output_dir);
  });
  const auto resumed = find_resume_point(hyperparameters, identity, *communicator_);
  if (!resumed && is_already_finished(hyperparameters, identity)) return trained_;
  Hyperparameters settings = hyperparameters;
  if (resumed) {
    settings.global_batch_size = static_cast<std::int64_t>(resumed->state.global_batch_size);
    comm::run_on_all(*communicator_, [&] { load_checkpoint_weights(resumed->checkpoint, *trained_.model); });
  }
  const at::Device device = comm::compute_device_of_rank(hyperparameters.device, *communicator_);
  trained_.model->to(device);
  at::globalContext().setAllowTF32CuBLAS(hyperparameters.tf32);
  TrainingLoop loop(*trained_.model, data.training, data.validation, trained_.tokenizer->pad_id().value(), settings,
                    comm::make_communicator_for(device, communicator_, timeout));
  const double peak_flops = measure_peak_flops_of_ranks(device, loop.product_type(), *communicator_);
  loop.set_peak_flops(peak_flops);
  if (resumed) comm::run_on_all(*communicator_, [&] { loop.restore(resumed->checkpoint, resumed->state.loop); });
  TrainerState run{.global_batch_size = loop.global_batch_size(),
                   .ranks = communicator_->world_size(),
                   .identity = identity,
                   .settings = hyperparameters.values()};
  prepare_output(hyperparameters, run, resumed, lock);
  spdlog::info("{} rows in global batches of {}: {} steps an epoch, {} in all, on {} ranks of {} threads",
               data.training->size(), loop.global_batch_size(), loop.steps_per_epoch(), loop.total_steps(),
               communicator_->world_size(), at::get_num_threads());
  spdlog::info("micro-batches of at most {} tokens{}; matrix products reach {:.0f} Gflop/s on all ranks",
               loop.max_tokens_per_micro_batch(),
               loop.recomputes_layers() ? ", whose layers are recomputed in the backward pass" : "", peak_flops / 1e9);
  if (resumed) {
    warn_about_changed_settings(*resumed, hyperparameters);
    spdlog::info("resuming from {}, after step {}", resumed->checkpoint.string(), loop.state().position.step);
    if (const std::uint64_t step = loop.state().position.step; step > 0 && step >= loop.total_steps()) {
      spdlog::warn("the checkpoint is of step {} and the job ends after step {}: nothing is left to train", step,
                   loop.total_steps());
    }
  }

  StopRequests stop(communicator_, {output_dir / "STOP", comm::end_of_job(hyperparameters.max_run_minutes)});
  comm::run_on_all(*communicator_, [&] { stop.clear_old(); });
  EpochSink epochs(loop.total_steps(), loop.steps_per_epoch());
  if (resumed) epochs.restore(resumed->state.epochs);
  CheckpointWriter checkpoints(trained_,
                               {.output_dir = output_dir,
                                .save_options = save_options(hyperparameters),
                                .total_limit = hyperparameters.save_total_limit,
                                .keeps_best = hyperparameters.load_best_model_at_end,
                                .describe =
                                    [&](const LoopState& state) {
                                      TrainerState described = run;
                                      described.loop = state;
                                      described.epochs = epochs.state();
                                      return described;
                                    }},
                               communicator_);
  std::optional<StepProfiler> profiler;
  std::vector<MetricSink*> watchers;
  if (const std::uint64_t steps = std::exchange(profiled_steps_, 0); steps > 0) {
    profiler.emplace(output_dir / "profile" / fmt::format("rank-{}.json", communicator_->rank()), steps, device,
                     /*has_table=*/communicator_->is_root());
    watchers.push_back(&*profiler);
  }
  if (communicator_->is_root()) {
    std::optional<RunPosition> position;
    if (resumed) position = resumed->state.loop.position;
    JsonLinesSink metrics(output_dir / "metrics.jsonl", static_cast<std::uint64_t>(hyperparameters.logging_steps),
                          position);
    ConsoleSink console(loop.total_steps(), epochs, loop.state().position.step);
    watchers.insert(watchers.begin(), {&metrics, &epochs, &console});
    loop.run(watchers, &checkpoints, &stop);
  } else {
    loop.run(watchers, &checkpoints, &stop);
  }
  if (const LoopState& state = loop.state(); state.position.step < loop.total_steps()) {
    spdlog::info("training ends: {} evaluations were no better than that after step {} (early_stopping_patience)",
                 state.best.evaluations_since, state.best.step);
  }
  const bool is_best = hyperparameters.load_best_model_at_end && load_best(output_dir, loop.state());
  communicator_->set_activity("saving the model");
  comm::run_on_all(*communicator_, [&] {
    if (!communicator_->is_root()) return;
    trained_.save(output_dir, save_options(hyperparameters));
    core::write_file(output_dir / "README.md",
                     to_markdown({
                         .model = trained_.model->info(),
                         .origin = origin,
                         .hyperparameters = hyperparameters,
                         .library_name = models::has_adapter(*trained_.model) ? "peft" : "transformers",
                         .ranks = communicator_->world_size(),
                         .threads = at::get_num_threads(),
                         .global_batch_size = loop.global_batch_size(),
                         .training = SetSummary::of(*data.training, training->origin()),
                         .validation = summarise_validation(data.validation, validation),
                         .validation_set_apart = data.validation != nullptr && validation == nullptr,
                         .epochs = epochs.epochs(),
                     }));
    run.loop = loop.state();
    run.is_finished = true;
    run.write(output_dir);
    CheckpointFolder(output_dir).remove_retired_checkpoints();
  });
  if (loop.skipped_steps() > 0) {
    spdlog::warn("{} of {} steps were skipped, {} of them at the end, because their loss or gradients were not finite",
                 loop.skipped_steps(), loop.total_steps(), loop.skipped_in_a_row());
  }
  const bool has_own_weights = !models::has_adapter(*trained_.model);
  if (has_own_weights) trained_.model->set_origin(std::filesystem::absolute(output_dir).lexically_normal().string());
  spdlog::info("{}, tokenizer and README.md saved in {}", has_own_weights ? "model" : "adapter", output_dir.string());
  if (!is_best && !loop.last_evaluation_is_finite()) {
    comm::run_on_all(*communicator_, [&] {
      throw Error(
          fmt::format("{}: the model is saved, but the loss of its last evaluation is NaN or infinite: do not use it "
                      "before lockstep "
                      "evaluate has shown why; try a lower learning_rate, or more warmup_steps",
                      output_dir.string()));
    });
  }
  return trained_;
}

void GenerationModelTrainer::prepare_output(const Hyperparameters& hyperparameters, const TrainerState& run,
                                            const std::optional<ResumePoint>& resumed,
                                            std::optional<core::FolderLock>& lock) const {
  const std::filesystem::path output_dir = hyperparameters.output_dir;
  comm::run_on_all(*communicator_, [&] {
    if (!communicator_->is_root()) return;
    const bool may_go_on = hyperparameters.resume_from_checkpoint.kind != job::ResumeFrom::Kind::kNever;
    const bool is_own = (resumed && lies_in(resumed->checkpoint, output_dir)) ||
                        (may_go_on && holds_unfinished_run(output_dir, run.identity));
    prepare_output_folder(output_dir, is_own || hyperparameters.overwrite_output_dir, saved_bytes());
    if (!lock) lock.emplace(output_dir);
    CheckpointFolder folder(output_dir);
    folder.remove_leftovers();
    if (resumed) {
      folder.retire_checkpoints_after(resumed->state.loop.position.step);
    } else {
      folder.retire_checkpoints();
    }
    run.write(output_dir);
    if (hyperparameters.logging_dir)
      core::log_to_file(std::filesystem::path(*hyperparameters.logging_dir) / "train.log");
  });
  const bool all_write = shares_state(hyperparameters.optimizer_sharding);
  if (!all_write && hyperparameters.save_strategy == job::SaveStrategy::kNo && !hyperparameters.load_best_model_at_end)
    return;
  comm::run_on_all(*communicator_, [&] {
    if (std::filesystem::exists(output_dir / kTrainerStateFile)) return;
    throw InputError(fmt::format(
        "output_dir: expected in {} what rank 0 wrote there ({}), found nothing: each rank writes its part of "
        "a checkpoint; give a folder that all nodes share, or optimizer_sharding: none and save_strategy: no",
        std::filesystem::absolute(output_dir).string(), kTrainerStateFile));
  });
}

bool GenerationModelTrainer::is_already_finished(const Hyperparameters& hyperparameters,
                                                 const comm::SharedFacts& identity) {
  const std::filesystem::path output_dir = hyperparameters.output_dir;
  if (hyperparameters.overwrite_output_dir ||
      hyperparameters.resume_from_checkpoint.kind != job::ResumeFrom::Kind::kNewest) {
    return false;
  }
  const bool is_finished = communicator_->is_root() && holds_finished_run(output_dir, hyperparameters, identity);
  if (comm::broadcast_text(*communicator_, is_finished ? "finished" : "").empty()) return false;
  comm::run_on_all(*communicator_, [&] { load_checkpoint_weights(output_dir, *trained_.model); });
  spdlog::info("this run has already finished: its model is in {}; overwrite_output_dir: true trains it again",
               output_dir.string());
  return true;
}

bool GenerationModelTrainer::load_best(const std::filesystem::path& output_dir, const LoopState& state) {
  if (!state.best.metric) return false;
  if (state.best.step == state.position.step) return true;
  const std::filesystem::path best = CheckpointFolder(output_dir).path(state.best.step);
  if (const std::string flaw = comm::broadcast_text(*communicator_, communicator_->is_root() ? find_defect(best) : "");
      !flaw.empty()) {
    spdlog::warn("load_best_model_at_end: {}: {}; the model is that of the last step", best.string(), flaw);
    return false;
  }
  comm::run_on_all(*communicator_, [&] { load_checkpoint_weights(best, *trained_.model); });
  spdlog::info("the model is that of {}, with eval_loss {:.4f}", best.string(), *state.best.metric);
  return true;
}

GenerationModelTrainer::Validated GenerationModelTrainer::choose_validation(
    std::shared_ptr<const TokenizedDataset> training, std::shared_ptr<const TokenizedDataset> validation,
    const Hyperparameters& hyperparameters) const {
  if (hyperparameters.evaluation_strategy == job::EvaluationStrategy::kNo) {
    if (validation) {
      spdlog::warn("evaluation_strategy is no: the validation set is not used");
    } else {
      spdlog::info("evaluation_strategy is no: no evaluation during training");
    }
    return {std::move(training), nullptr};
  }
  if (validation) return {std::move(training), std::move(validation)};
  if (!trained_.model->info().has_encoder) {
    spdlog::warn(
        "no validation set is given: evaluation is skipped; give validation_datasets to see a validation loss");
    return {std::move(training), nullptr};
  }
  if (training->size() <= 1) {
    throw InputError(
        fmt::format("no validation set is given, and {} training row cannot be split; add rows, give "
                    "validation_datasets, or set evaluation_strategy: no",
                    training->size()));
  }
  auto split =
      data::split_for_validation(training, hyperparameters.test_size, static_cast<std::uint64_t>(hyperparameters.seed));
  spdlog::warn("no validation set is given: {} of {} training rows (test_size {}) are set apart for it",
               split.validation->size(), training->size(), hyperparameters.test_size);
  return {std::move(split.training), std::move(split.validation)};
}

void GenerationModelTrainer::check_tokenizer(const TokenizedDataset& dataset) const {
  if (dataset.tokenizer_digest() == trained_.tokenizer->digest()) return;
  throw InputError(
      fmt::format("the data were prepared with another tokenizer (sha256 {:.12}...) than the model's ({:.12}...); "
                  "run lockstep-prep again with this model",
                  dataset.tokenizer_digest(), trained_.tokenizer->digest()));
}

std::shared_ptr<const TokenizedDataset> GenerationModelTrainer::tokenize(const std::vector<Dataset>& datasets) const {
  const models::ModelInfo& info = trained_.model->info();
  const auto max_length = data::resolve_max_length(requested_max_length_, *trained_.tokenizer, info.max_positions);
  const ExampleBuilder builder(trained_.tokenizer, info.has_encoder, max_length);
  return tokenize_in_memory(datasets, builder, {.vocabulary_size = static_cast<std::uint64_t>(info.vocabulary_size)},
                            static_cast<std::size_t>(communicator_->cores_per_rank()));
}

std::uint64_t GenerationModelTrainer::saved_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& parameter : trained_.model->parameters()) {
    if (parameter.requires_grad()) bytes += parameter.nbytes();
  }
  return bytes;
}

}  // namespace lockstep::train
