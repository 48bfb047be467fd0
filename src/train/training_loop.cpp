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

ParameterLayout make_layout(const LanguageModel& model) {
  std::vector<std::pair<std::string, at::Tensor>> parameters;
  for (const auto& item : model.named_parameters()) parameters.emplace_back(item.key(), item.value());
  return ParameterLayout(parameters);
}

ReducerOptions reducer_options(const Hyperparameters& hyperparameters) {
  return {.bucket_bytes = hyperparameters.ddp_bucket_cap_mb << 20,
          .result = hyperparameters.optimizer_sharding == "none" ? ReducedGradients::everywhere
                                                                 : ReducedGradients::own_parts};
}

}  // namespace

TrainingLoop::TrainingLoop(LanguageModel& model, std::shared_ptr<const TokenizedDataset> training,
                           std::shared_ptr<const TokenizedDataset> validation, TokenId pad_id,
                           const Hyperparameters& hyperparameters, std::shared_ptr<Communicator> communicator)
    : model_(model),
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
      layout_(make_layout(model)),
      reducer_(layout_, communicator_, reducer_options(hyperparameters)),
      optimizer_(layout_, reducer_.parts(), hyperparameters),
      schedule_(hyperparameters.lr_scheduler_type, hyperparameters.learning_rate,
                count_warmup_steps(hyperparameters, total_steps_), total_steps_),
      guard_(static_cast<std::uint64_t>(hyperparameters.max_skipped_steps), total_steps_, training_, communicator_) {
  check_same_settings(*communicator_, hyperparameters.values());
  check_same_data(*communicator_, *training_, validation_.get());
  check_same_model(*communicator_, model);
  if (training_->size() == 0) throw InputError("the training set has no rows; give one that has");
  for (const auto& dataset : {training_, validation_}) {
    if (dataset && dataset->has_encoder() != model.info().has_encoder) {
      throw InputError(
          fmt::format("the data were prepared for {} models, but the model is of type {}; run lockstep-prep with "
                      "this model",
                      dataset->has_encoder() ? "encoder-decoder" : "decoder-only", model.info().model_type));
    }
  }
}

void TrainingLoop::run(const std::vector<MetricSink*>& sinks) {
  model_.train();
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
    finish_gathering();
    const EvaluationMetrics evaluation = evaluate(step + 1);
    for (MetricSink* sink : sinks) sink->on_evaluation(evaluation);
  }
  finish_gathering();
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
  metrics.grad_norm = gradient_norm(reducer_.flat(), reducer_.parts(), *communicator_);
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
  double sum = 0;
  const std::vector<MicroBatch>& micro_batches = plan.ranks[static_cast<std::size_t>(communicator_->rank())];
  for (const MicroBatch& micro_batch : micro_batches) {
    const Batch batch = read_batch(*training_, micro_batch.examples, model_.info().decoder_start_id, pad_id_);
    finish_gathering();
    Dropout dropout(static_cast<std::uint64_t>(hyperparameters_.seed), step, batch.example_ids);
    const at::Tensor loss = model_.loss_sum(batch, dropout);
    if (&micro_batch == &micro_batches.back()) reducer_.expect_last_backward();
    (loss * scale).backward();
    const auto value = loss.item<double>();
    guard_.watch(value, micro_batch.examples);
    sum += value;
  }
  return sum;
}

void TrainingLoop::update(const StepMetrics& metrics) {
  clip_gradients(reducer_.flat(), reducer_.parts(), metrics.grad_norm, hyperparameters_.max_grad_norm);
  finish_gathering();  // which a rank without micro-batches has not done yet
  optimizer_.step(reducer_.flat(), metrics.learning_rate);
  begin_gathering();
}

void TrainingLoop::begin_gathering() {
  if (hyperparameters_.optimizer_sharding == "none") return;
  for (const Part& bucket : reducer_.buckets()) {
    gathering_.push_back(communicator_->begin_all_gather(optimizer_.parameters().narrow(0, bucket.begin, bucket.size()),
                                                         "the gathering of updated parameters"));
  }
}

void TrainingLoop::finish_gathering() {
  for (const auto& gathered : std::exchange(gathering_, {})) gathered->wait();
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
                          pad_id_, *communicator_));
  return {step, epochs_done(step), totals.mean(), totals.target_tokens, seconds_since(start)};
}

double TrainingLoop::epochs_done(std::uint64_t step) const {
  return static_cast<double>(step) / static_cast<double>(steps_per_epoch_);
}

}  // namespace lockstep
