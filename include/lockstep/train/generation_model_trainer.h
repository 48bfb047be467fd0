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

namespace lockstep::core {
class FolderLock;
}  // namespace lockstep::core

namespace lockstep::train {

/// Fine-tunes conditional generation models: encoder-decoder (T5-type) and decoder-only (GPT-type). Under an MPI
/// launcher, all ranks must construct it and call train_model() with the same arguments; rank 0 writes the results.
class GenerationModelTrainer : public BaseTrainer {
 public:
  /// Loads `pretrained_model_name`: a folder, or a model of the hub (hub/resolve.h), which rank 0 downloads if the
  /// cache lacks it. Rows longer than `model_max_length` are truncated, with a warning; without it the limit is the
  /// tokenizer's, else the model's. Throws InputError if it is not a supported model, or if `has_encoder` does not
  /// match it.
  GenerationModelTrainer(const std::string& pretrained_model_name, bool has_encoder,
                         std::optional<std::size_t> model_max_length = std::nullopt);

  /// Trains `model` in place: one from an earlier training, TrainedModel::load() or TrainedModel::create().
  /// `communicator` connects the ranks; null means make_communicator().
  explicit GenerationModelTrainer(TrainedModel model, std::optional<std::size_t> model_max_length = std::nullopt,
                                  std::shared_ptr<Communicator> communicator = nullptr);

  /// Tokenizes the datasets in memory, trains, saves checkpoints according to `save_strategy`, and saves model and
  /// tokenizer into `output_dir`. Another call trains the same model further. Without validation datasets, T5-type
  /// models hold out `test_size` of the training rows, and GPT-type models train without evaluation, each with a
  /// warning.
  TrainedModel train_model(const std::vector<Dataset>& training_datasets,
                           const HyperparameterChoices& hyperparameters = {},
                           const std::vector<Dataset>& validation_datasets = {}) override;

  /// Trains as train_model() does, on datasets that are already tokenized; `validation` may be null. `origin` is for
  /// the model card. Throws InputError if the datasets were made with another tokenizer.
  TrainedModel train_tokenized(std::shared_ptr<const TokenizedDataset> training,
                               std::shared_ptr<const TokenizedDataset> validation,
                               const Hyperparameters& hyperparameters, const RunOrigin& origin = {});

  /// Makes the next training write a profile of `steps` steps of each rank to output_dir/profile/rank-N.json
  /// (train/step_profiler.h). 0, the default, writes none.
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
  /// Prepares output_dir, on all ranks, for the run that `run` describes, new or resumed. The root locks it.
  void prepare_output(const Hyperparameters& hyperparameters, const TrainerState& run,
                      const std::optional<ResumePoint>& resumed, std::optional<core::FolderLock>& lock) const;
  /// Returns whether output_dir holds what this job saved when it finished; the model then has its weights.
  bool is_already_finished(const Hyperparameters& hyperparameters, const comm::SharedFacts& identity);
  /// Returns whether the model now is the best one.
  bool load_best(const std::filesystem::path& output_dir, const LoopState& state);

  TrainedModel trained_;
  std::string model_name_;  // as given; empty: unknown
  std::optional<std::size_t> requested_max_length_;
  std::shared_ptr<Communicator> communicator_;
  std::uint64_t profiled_steps_ = 0;
};

}  // namespace lockstep::train

namespace lockstep {
using train::GenerationModelTrainer;
}  // namespace lockstep
