#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "lockstep/batching/batch_plan.h"
#include "lockstep/batching/global_batches.h"
#include "lockstep/batching/step_inputs.h"
#include "lockstep/comm/communicator.h"
#include "lockstep/comm/stop_requests.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/job/hyperparameters.h"
#include "lockstep/models/layers/mixed_precision.h"
#include "lockstep/models/model.h"
#include "lockstep/sharding/flat_parameters.h"
#include "lockstep/sharding/gradient_reducer.h"
#include "lockstep/sharding/layer_gathering.h"
#include "lockstep/train/activation_plan.h"
#include "lockstep/train/checkpoints/checkpoint_writer.h"
#include "lockstep/train/checkpoints/trainer_state.h"
#include "lockstep/train/finite_guard.h"
#include "lockstep/train/loss_scaler.h"
#include "lockstep/train/metric_sink.h"
#include "lockstep/train/optimizers/optimizer.h"
#include "lockstep/train/schedule.h"

namespace lockstep::train {

/// Trains a model in place, in lockstep with the other ranks. The global batches are a pure function of (seed, epoch,
/// step), and each gradient is the mean over the global batch's target tokens, whatever the number of ranks and the
/// split into micro-batches.
class TrainingLoop {
 public:
  /// `validation` may be null, for no evaluation. `pad_id` fills the ends of shorter rows, which are masked by
  /// position. All ranks must pass the same arguments, which they first compare (train/same_inputs.h). Throws
  /// InputError if any differ, or if `training` is empty or made for another kind of model.
  TrainingLoop(LanguageModel& model, std::shared_ptr<const TokenizedDataset> training,
               std::shared_ptr<const TokenizedDataset> validation, TokenId pad_id,
               const Hyperparameters& hyperparameters, std::shared_ptr<Communicator> communicator);
  ~TrainingLoop();

  std::uint64_t total_steps() const { return total_steps_; }
  std::uint64_t steps_per_epoch() const { return batches_.steps_per_epoch(); }
  std::uint64_t global_batch_size() const { return global_batch_size_; }
  /// Returns the token limit of micro-batches; only a single longer row may exceed it.
  std::uint64_t max_tokens_per_micro_batch() const { return limits_.tokens; }
  /// Returns whether the backward pass recomputes layers (gradient_checkpointing).
  bool recomputes_layers() const { return activations_.recomputes_layers; }
  /// Returns the type in which linear layers and the head multiply.
  at::ScalarType product_type() const { return rounded_weights_.type(); }
  std::uint64_t skipped_steps() const { return guard_.skipped_steps(); }
  /// Returns how many of the last steps were skipped.
  std::uint64_t skipped_in_a_row() const { return guard_.skipped_in_a_row(); }
  /// Returns false if the last evaluation of this process gave a loss that is NaN or infinite.
  bool last_evaluation_is_finite() const { return last_evaluation_is_finite_; }

  /// Sets how many operations all ranks together could compute per second, for the metrics (train/machine_peak.h). 0,
  /// the default, means unknown.
  void set_peak_flops(double of_all_ranks) { peak_flops_ = of_all_ranks; }

  /// Continues, when called before run(), from the state that `checkpoint` holds; the model must already have its
  /// weights. Throws InputError if its optimizer state does not fit this model.
  void restore(const std::filesystem::path& checkpoint, const LoopState& state);

  /// Trains to the end, or until early_stopping_patience evaluations in a row have brought no improvement. Skips steps
  /// whose loss or gradients are not finite, and throws Error after too many in a row (train/finite_guard.h). The sinks
  /// receive every step and every evaluation; only rank 0 should pass sinks that record them. Without `checkpoints`
  /// none are saved; without `stop` the run cannot be asked to stop. On such a request, all ranks abandon the current
  /// work, save a checkpoint of the last complete step, and throw Stopped, or Error if the checkpoint could not be
  /// saved.
  void run(const std::vector<MetricSink*>& sinks, CheckpointWriter* checkpoints = nullptr,
           StopRequests* stop = nullptr);

  /// Returns the current state.
  const LoopState& state() const { return state_; }

 private:
  /// Returns false if the step was abandoned because the run is to stop; then nothing has changed.
  bool train_step();
  /// What ranks sum after a step for its metrics.
  struct StepSums;
  /// Runs forward and backward of this rank's micro-batches and returns its part of the sums, or nothing if the step
  /// was abandoned.
  std::optional<StepSums> run_micro_batches(std::uint64_t step, const batching::StepPlan& plan);
  /// Sums everything that ranks tell each other after a step: `own`, requests to stop, whether it is time to save, and
  /// which shares of a checkpoint are written. Returns the sums of `own` over all ranks.
  StepSums exchange(const StepSums& own);
  /// Returns whether to leave the weights unchanged; with fp16 this may lower the loss scale. `step` counts from 1.
  bool skips(std::uint64_t step, double loss, double grad_norm);
  /// Returns the pass of a training step over `batch`, which must outlive it; backward() follows on the loss times
  /// `scale`.
  models::Pass training_pass(std::uint64_t step, const models::Batch& batch, double scale);
  /// Returns the pass of an evaluation between steps, which gathers layers as training does.
  models::Pass evaluation_pass();
  /// Runs forward and backward of one micro-batch. The gradient is that of the returned loss times `scale`.
  at::Tensor run_pass(std::uint64_t step, const models::Batch& batch, double scale);
  batching::InputSource input_source() const;
  /// Updates the weights with the reduced gradients.
  void update(const StepMetrics& metrics);
  void warn_about_unused_parameters() const;
  bool ends_epoch() const;
  bool evaluation_is_due() const;
  /// Returns false if the evaluation was abandoned because the run is to stop.
  bool evaluate();
  bool checkpoint_is_due() const;
  void save_checkpoint(bool is_urgent);
  bool is_over() const;
  /// Saves the state of the run and ends it; always throws.
  [[noreturn]] void stop_early();
  double epochs_done(std::uint64_t step) const;

  LanguageModel& model_;
  std::shared_ptr<const TokenizedDataset> training_;
  std::shared_ptr<const TokenizedDataset> validation_;
  TokenId pad_id_;
  Hyperparameters hyperparameters_;
  std::shared_ptr<Communicator> communicator_;

  std::uint64_t global_batch_size_;
  ActivationPlan activations_;
  batching::MicroBatchLimits limits_;
  batching::BatchCost batch_cost_;
  batching::GlobalBatches batches_;
  std::uint64_t total_steps_;
  sharding::ParameterLayout layout_;
  sharding::Ownership ownership_;
  sharding::FlatParameters parameters_;
  sharding::LayerGathering layers_;
  sharding::GradientReducer reducer_;
  std::unique_ptr<Optimizer> optimizer_;
  models::RoundedWeights rounded_weights_;  // for bf16 and fp16
  std::unique_ptr<batching::StepInputs> inputs_;
  LossScaler loss_scaler_;
  LearningRateSchedule schedule_;
  FiniteGuard guard_;

  LoopState state_;
  std::vector<MetricSink*> sinks_;
  CheckpointWriter* checkpoints_ = nullptr;
  StopRequests* stop_ = nullptr;
  LoopState saved_;  // the state in the checkpoint that was last begun
  std::chrono::steady_clock::time_point saved_at_;
  std::chrono::steady_clock::time_point step_begun_;  // saving between steps counts towards the next step
  bool is_time_to_save_ = false;                      // by rank 0's clock; the same on all ranks
  bool last_evaluation_is_finite_ = true;
  bool is_first_step_ = true;  // of this process
  double peak_flops_ = 0;
};

}  // namespace lockstep::train

namespace lockstep {
using train::TrainingLoop;
}  // namespace lockstep
