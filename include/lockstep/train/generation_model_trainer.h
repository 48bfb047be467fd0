#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/comm/communicator.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/train/base_trainer.h"
#include "lockstep/train/checkpoints/resume.h"
#include "lockstep/train/checkpoints/trainer_state.h"
#include "lockstep/train/model_card.h"

namespace lockstep::train {

/// Fine-tunes conditional generation models: encoder-decoder (T5-type) and decoder-only (GPT-type). Started by an MPI
/// launcher, all ranks construct it and call train_model() with the same arguments; rank 0 writes the results.
class GenerationModelTrainer : public BaseTrainer {
 public:
  /// Loads `pretrained_model_name`: a folder, or a model of the hub (hub/resolve.h), which the first rank downloads if
  /// the cache lacks it. `model_max_length`: longer rows are truncated, with a warning; none: the
  /// tokenizer's own limit, else the model's. Throws InputError if it is not a supported model, or if
  /// `has_encoder` does not agree with it.
  GenerationModelTrainer(const std::string& pretrained_model_name, bool has_encoder,
                         std::optional<std::size_t> model_max_length = std::nullopt);

  /// Trains `model` in place: one that an earlier training returned, TrainedModel::load() or TrainedModel::create().
  /// `communicator`: the ranks; null: make_communicator().
  explicit GenerationModelTrainer(TrainedModel model, std::optional<std::size_t> model_max_length = std::nullopt,
                                  std::shared_ptr<Communicator> communicator = nullptr);

  /// Tokenizes the datasets in memory, trains, saving checkpoints as `save_strategy` says, and saves model and
  /// tokenizer into `output_dir`. Calling it again trains the same model further. Without validation datasets: T5-type
  /// models set `test_size` of the training rows apart, with a warning; GPT-type models train without evaluation, with
  /// a warning.
  TrainedModel train_model(const std::vector<Dataset>& training_datasets,
                           const HyperparameterChoices& hyperparameters = {},
                           const std::vector<Dataset>& validation_datasets = {}) override;

  /// The same on datasets that are tokenized already; `validation` may be null. `origin` is for the model card. Throws
  /// InputError if another tokenizer made them.
  TrainedModel train_tokenized(std::shared_ptr<const TokenizedDataset> training,
                               std::shared_ptr<const TokenizedDataset> validation,
                               const Hyperparameters& hyperparameters, const RunOrigin& origin = {});

  /// The next training writes what each rank computes in so many steps to output_dir/profile/rank-N.json
  /// (train/step_profiler.h). [0: it does not]
  void set_profiled_steps(std::uint64_t steps) { profiled_steps_ = steps; }

 private:
  GenerationModelTrainer(const std::string& pretrained_model_name, bool has_encoder,
                         std::optional<std::size_t> model_max_length,
                         const std::shared_ptr<Communicator>& communicator);

  struct Validated {
    std::shared_ptr<const TokenizedDataset> training;
    std::shared_ptr<const TokenizedDataset> validation;  // null: no evaluation
  };
  Validated choose_validation(std::shared_ptr<const TokenizedDataset> training,
                              std::shared_ptr<const TokenizedDataset> validation,
                              const Hyperparameters& hyperparameters) const;
  void check_tokenizer(const TokenizedDataset& dataset) const;
  std::shared_ptr<const TokenizedDataset> tokenize(const std::vector<Dataset>& datasets) const;
  std::uint64_t saved_bytes() const;
  /// Makes output_dir ready for all ranks: for the run that `run` describes, anew or resumed.
  void prepare_output(const Hyperparameters& hyperparameters, const TrainerState& run,
                      const std::optional<ResumePoint>& resumed) const;
  void load_best(const std::filesystem::path& output_dir, const LoopState& state);

  TrainedModel trained_;
  std::string model_name_;  // as it was given; empty: unknown
  std::optional<std::size_t> requested_max_length_;
  std::shared_ptr<Communicator> communicator_;
  std::uint64_t profiled_steps_ = 0;
};

}  // namespace lockstep::train

namespace lockstep {
using train::GenerationModelTrainer;
}  // namespace lockstep
