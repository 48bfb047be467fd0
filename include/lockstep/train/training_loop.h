#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "lockstep/comm/communicator.h"
#include "lockstep/comm/flat_parameters.h"
#include "lockstep/comm/gradient_reducer.h"
#include "lockstep/core/hyperparameters.h"
#include "lockstep/data/batch_plan.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/models/model.h"
#include "lockstep/train/adamw.h"
#include "lockstep/train/finite_guard.h"
#include "lockstep/train/metric_sink.h"
#include "lockstep/train/schedule.h"

namespace lockstep {

class LayerGathering;

/// Trains a model in place, in lockstep with the other ranks: the global batches are a pure function of (seed, epoch,
/// step), and each gradient is the mean over the global batch's target tokens, whatever the number of ranks and the cut
/// into micro-batches.
class TrainingLoop {
 public:
  /// `validation` may be null: no evaluation. The pad id fills the unused ends of batches; it is masked by position.
  /// All ranks give the same arguments, which they compare first (train/same_inputs.h). Throws InputError if any
  /// differ, or if `training` is empty or of another kind than the model.
  TrainingLoop(LanguageModel& model, std::shared_ptr<const TokenizedDataset> training,
               std::shared_ptr<const TokenizedDataset> validation, TokenId pad_id,
               const Hyperparameters& hyperparameters, std::shared_ptr<Communicator> communicator);
  ~TrainingLoop();

  std::uint64_t total_steps() const { return total_steps_; }
  std::uint64_t steps_per_epoch() const { return steps_per_epoch_; }
  std::uint64_t global_batch_size() const { return global_batch_size_; }
  std::uint64_t skipped_steps() const { return guard_.skipped_steps(); }

  /// Trains to the end. Skips steps whose loss or gradients are not finite, and throws Error after too many in a row
  /// (train/finite_guard.h).
  /// The sinks receive every step and every evaluation; ranks other than 0 give none.
  void run(const std::vector<MetricSink*>& sinks);

 private:
  StepMetrics train_step(std::uint64_t step, std::span<const std::uint64_t> global_batch);
  /// Forward and backward of this rank's micro-batches; the sum of their losses.
  double run_micro_batches(std::uint64_t step, const StepPlan& plan);
  /// Of one; the gradient is that of the loss times `scale`.
  double run_pass(std::uint64_t step, const std::vector<std::uint64_t>& examples, double scale);
  /// Updates the weights by the reduced gradients.
  void update(const StepMetrics& metrics);
  void warn_of_unused_parameters() const;
  EvaluationMetrics evaluate(std::uint64_t step);
  double epochs_done(std::uint64_t step) const;

  LanguageModel& model_;
  std::shared_ptr<const TokenizedDataset> training_;
  std::shared_ptr<const TokenizedDataset> validation_;
  TokenId pad_id_;
  Hyperparameters hyperparameters_;
  std::shared_ptr<Communicator> communicator_;

  std::uint64_t global_batch_size_;
  std::uint64_t micro_batch_rows_;
  BatchCost batch_cost_;
  std::uint64_t steps_per_epoch_;
  std::uint64_t total_steps_;
  ParameterLayout layout_;
  Ownership ownership_;
  FlatParameters parameters_;
  GradientReducer reducer_;
  AdamW optimizer_;
  std::unique_ptr<LayerGathering> layers_;  // while run() runs
  LearningRateSchedule schedule_;
  FiniteGuard guard_;
};

}  // namespace lockstep
