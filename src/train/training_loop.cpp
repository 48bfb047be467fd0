#include "lockstep/train/training_loop.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <torch/torch.h>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "lockstep/core/error.h"
#include "lockstep/data/shuffle.h"
#include "lockstep/evaluation/evaluator.h"
#include "lockstep/train/batch_cost.h"
#include "lockstep/train/batch_sizes.h"
#include "lockstep/train/same_inputs.h"
#include "train/layer_gathering.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::uint64_t count_steps(const Hyperparameters& hyperparameters, std::uint64_t steps_per_epoch) {
  if (hyperparameters.max_steps > 0) return static_cast<std::uint64_t>(hyperparameters.max_steps);
  const double steps = std::ceil(hyperparameters.num_train_epochs * static_cast<double>(steps_per_epoch));
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(steps));
}

std::uint64_t count_warmup_steps(const Hyperparameters& hyperparameters, std::uint64_t total_steps) {
  if (hyperparameters.warmup_steps > 0) return static_cast<std::uint64_t>(hyperparameters.warmup_steps);
  return static_cast<std::uint64_t>(std::ceil(hyperparameters.warmup_ratio * static_cast<double>(total_steps)));
}

// What the stages of ZeRO share: each shares what the one before shares, too.
bool shares_gradients(const Hyperparameters& hyperparameters) {
  return hyperparameters.optimizer_sharding == "state_and_gradients" || hyperparameters.optimizer_sharding == "full";
}
bool shares_parameters(const Hyperparameters& hyperparameters) { return hyperparameters.optimizer_sharding == "full"; }

ParameterLayout make_layout(const LanguageModel& model, const Hyperparameters& hyperparameters) {
  return ParameterLayout(parameters_by_layer(model), {.bytes = hyperparameters.ddp_bucket_cap_mb << 20,
                                                      .one_a_unit = shares_parameters(hyperparameters)});
}

Ownership make_ownership(const ParameterLayout& layout, const Hyperparameters& hyperparameters,
                         const Communicator& communicator) {
  return hyperparameters.optimizer_sharding == "none" ? Ownership::whole(layout)
                                                      : Ownership::shared(layout, communicator);
}

ReducerOptions reducer_options(const Hyperparameters& hyperparameters) {
  return {.frees_buckets = shares_gradients(hyperparameters),
          .message_type = hyperparameters.gradient_reduce_dtype == "bf16" ? at::kBFloat16 : at::kFloat};
}

// The model, if ranks start from the same and the rows are fit for it; before any of it is shared among them.
LanguageModel& checked(LanguageModel& model, const TokenizedDataset& training, const TokenizedDataset* validation,
                       const Hyperparameters& hyperparameters, Communicator& communicator) {
  check_same_settings(communicator, hyperparameters.values());
  check_same_data(communicator, training, validation);
  check_same_model(communicator, model);
  if (training.size() == 0) throw InputError("the training set has no rows; give one that has");
  for (const TokenizedDataset* dataset : {&training, validation}) {
    if (dataset != nullptr && dataset->has_encoder() != model.info().has_encoder) {
      throw InputError(
          fmt::format("the data were prepared for {} models, but the model is of type {}; run lockstep-prep with "
                      "this model",
                      dataset->has_encoder() ? "encoder-decoder" : "decoder-only", model.info().model_type));
    }
  }
  return model;
}

// A short row of the global batch.
std::uint64_t filler_of(const StepPlan& plan) {
  const auto with_rows =
      std::ranges::find_if(plan.ranks, [](const auto& micro_batches) { return !micro_batches.empty(); });
  return with_rows->back().examples.back();
}

// As torch.nn.utils.clip_grad_norm_ has it. 0 clips nothing.
double clip_factor(double norm, double max_norm) {
  constexpr double kEpsilon = 1e-6;
  return max_norm == 0 ? 1 : std::min(1.0, max_norm / (norm + kEpsilon));
}

}  // namespace

TrainingLoop::TrainingLoop(LanguageModel& model, std::shared_ptr<const TokenizedDataset> training,
                           std::shared_ptr<const TokenizedDataset> validation, TokenId pad_id,
                           const Hyperparameters& hyperparameters, std::shared_ptr<Communicator> communicator)
    : model_(checked(model, *training, validation.get(), hyperparameters, *communicator)),
      training_(std::move(training)),
      validation_(std::move(validation)),
      pad_id_(pad_id),
      hyperparameters_(hyperparameters),
      communicator_(std::move(communicator)),
      global_batch_size_(global_batch_rows(hyperparameters, communicator_->world_size())),
      micro_batch_rows_(micro_batch_rows(hyperparameters, global_batch_size_, communicator_->world_size())),
      batch_cost_(batch_cost(model)),
      steps_per_epoch_(epoch_steps(training_->size(), global_batch_size_)),
      total_steps_(count_steps(hyperparameters, steps_per_epoch_)),
      layout_(make_layout(model, hyperparameters)),
      ownership_(make_ownership(layout_, hyperparameters, *communicator_)),
      parameters_(layout_, ownership_, communicator_, shares_parameters(hyperparameters)),
      reducer_(layout_, ownership_, communicator_, reducer_options(hyperparameters)),
      optimizer_(layout_, ownership_, parameters_.own(), hyperparameters),
      schedule_(hyperparameters.lr_scheduler_type, hyperparameters.learning_rate,
                count_warmup_steps(hyperparameters, total_steps_), total_steps_),
      guard_(static_cast<std::uint64_t>(hyperparameters.max_skipped_steps), total_steps_, training_, communicator_) {}

TrainingLoop::~TrainingLoop() = default;

void TrainingLoop::run(const std::vector<MetricSink*>& sinks) {
  model_.train();
  layers_ = std::make_unique<LayerGathering>(model_, parameters_);
  std::vector<std::uint64_t> order;
  for (std::uint64_t step = 0; step < total_steps_; ++step) {
    const std::uint64_t step_of_epoch = step % steps_per_epoch_;
    if (step_of_epoch == 0) {
      order = shuffled_indices(training_->size(), static_cast<std::uint64_t>(hyperparameters_.seed),
                               step / steps_per_epoch_);
    }
    const std::uint64_t begin = step_of_epoch * global_batch_size_;
    const std::uint64_t rows = std::min<std::uint64_t>(global_batch_size_, order.size() - begin);
    const StepMetrics metrics = train_step(step, std::span(order).subspan(begin, rows));
    for (MetricSink* sink : sinks) sink->on_step(metrics);

    const bool ends_epoch = step_of_epoch + 1 == steps_per_epoch_ || step + 1 == total_steps_;
    if (!validation_ || !ends_epoch) continue;
    parameters_.gather(0);
    const EvaluationMetrics evaluation = evaluate(step + 1);
    for (MetricSink* sink : sinks) sink->on_evaluation(evaluation);
  }
  layers_.reset();
  parameters_.gather_all();
  model_.eval();
}

StepMetrics TrainingLoop::train_step(std::uint64_t step, std::span<const std::uint64_t> global_batch) {
  const auto start = Clock::now();
  communicator_->set_activity(fmt::format("step {}", step + 1));
  const StepPlan plan =
      plan_step(*training_, global_batch, micro_batch_rows_, communicator_->world_size(), batch_cost_);
  reducer_.zero();
  at::Tensor loss_sum = at::scalar_tensor(run_micro_batches(step, plan), at::kDouble);
  reducer_.finish();
  communicator_->all_reduce_sum(loss_sum);
  if (step == 0) warn_of_unused_parameters();

  StepMetrics metrics;
  metrics.grad_norm = reducer_.norm();
  metrics.learning_rate = schedule_.at(step);
  metrics.skipped = guard_.skips(step + 1, loss_sum.item<double>(), metrics.grad_norm);
  if (!metrics.skipped) update(metrics);

  metrics.step = step + 1;
  metrics.epoch = epochs_done(step + 1);
  metrics.loss = loss_sum.item<double>() / static_cast<double>(std::max<std::uint64_t>(1, plan.label_tokens));
  metrics.tokens = plan.tokens;
  metrics.target_tokens = plan.label_tokens;
  metrics.padding = 1 - static_cast<double>(plan.tokens) / static_cast<double>(plan.padded_tokens);
  metrics.seconds = seconds_since(start);
  return metrics;
}

double TrainingLoop::run_micro_batches(std::uint64_t step, const StepPlan& plan) {
  const double scale = 1.0 / static_cast<double>(std::max<std::uint64_t>(1, plan.label_tokens));
  const std::vector<MicroBatch>& own = plan.ranks[static_cast<std::size_t>(communicator_->rank())];
  std::size_t passes = 1;
  for (const auto& micro_batches : plan.ranks) passes = std::max(passes, micro_batches.size());
  // A rank with fewer has none to begin with, so that its last sums, too, go out while backward runs.
  const std::size_t idle_passes = passes - own.size();
  double sum = 0;
  for (std::size_t pass = 0; pass < passes; ++pass) {
    reducer_.begin_pass(pass + 1 == passes);
    if (pass >= idle_passes) {
      const MicroBatch& micro_batch = own[pass - idle_passes];
      const double loss = run_pass(step, micro_batch.examples, scale);
      guard_.watch(loss, micro_batch.examples);
      sum += loss;
    } else if (parameters_.frees_layers()) {
      // Gathers what the other ranks gather, for nothing.
      run_pass(step, {filler_of(plan)}, 0);
    }
    reducer_.end_pass();
    layers_->end_pass();
  }
  return sum;
}

double TrainingLoop::run_pass(std::uint64_t step, const std::vector<std::uint64_t>& examples, double scale) {
  const Batch batch = read_batch(*training_, examples, model_.info().decoder_start_id, pad_id_).to(model_.device());
  parameters_.gather(0);
  Dropout dropout(static_cast<std::uint64_t>(hyperparameters_.seed), step, batch.example_ids);
  const at::Tensor loss = model_.loss_sum(batch, dropout);
  (loss * scale).backward();
  return loss.item<double>();
}

void TrainingLoop::update(const StepMetrics& metrics) {
  if (const double factor = clip_factor(metrics.grad_norm, hyperparameters_.max_grad_norm); factor < 1) {
    reducer_.scale(factor);
  }
  parameters_.begin_update();
  optimizer_.step(reducer_.gradients(), metrics.learning_rate);
  parameters_.end_update();
}

void TrainingLoop::warn_of_unused_parameters() const {
  const std::vector<std::string> unused = reducer_.unused_parameters();
  if (unused.empty()) return;
  constexpr std::size_t kNamed = 5;
  const auto named = std::span(unused).first(std::min(kNamed, unused.size()));
  spdlog::warn("{} parameters do nothing for the loss and are not trained: {}{}", unused.size(), fmt::join(named, ", "),
               unused.size() > kNamed ? ", ..." : "");
}

EvaluationMetrics TrainingLoop::evaluate(std::uint64_t step) {
  const auto start = Clock::now();
  const LossTotals totals =
      total(evaluate_rows(model_, *validation_, static_cast<std::uint64_t>(hyperparameters_.per_device_eval_batch_size),
                          pad_id_, *communicator_)
                .value());
  return {step, epochs_done(step), totals.mean(), totals.target_tokens, seconds_since(start)};
}

double TrainingLoop::epochs_done(std::uint64_t step) const {
  return static_cast<double>(step) / static_cast<double>(steps_per_epoch_);
}

}  // namespace lockstep
