#include "lockstep/train/training_loop.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <torch/torch.h>
#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <utility>

#include "lockstep/batching/batch_cost.h"
#include "lockstep/batching/batch_sizes.h"
#include "lockstep/core/error.h"
#include "lockstep/evaluation/evaluator.h"
#include "lockstep/train/checkpoints/checkpoint.h"
#include "lockstep/train/same_inputs.h"
#include "train/checkpoints/optimizer_state.h"
#include "train/product_type.h"

namespace lockstep::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kFlopsOfMultiplyAdd = 6;  // 2 per multiply-add: once forward, twice backward

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

sharding::ParameterLayout make_layout(const LanguageModel& model, const Hyperparameters& hyperparameters) {
  return sharding::ParameterLayout(sharding::parameters_by_layer(model),
                                   {.bytes = hyperparameters.ddp_bucket_cap_mb << 20,
                                    .spans_units = !shares_parameters(hyperparameters.optimizer_sharding)});
}

sharding::Ownership make_ownership(const sharding::ParameterLayout& layout, const Hyperparameters& hyperparameters,
                                   const Communicator& communicator) {
  return shares_state(hyperparameters.optimizer_sharding) ? sharding::Ownership::sharded(layout, communicator)
                                                          : sharding::Ownership::replicated(layout);
}

sharding::ReducerOptions reducer_options(const Hyperparameters& hyperparameters) {
  return {.frees_buckets = shares_gradients(hyperparameters.optimizer_sharding),
          .message_type =
              hyperparameters.gradient_reduce_dtype == job::GradientReduceType::kBf16 ? at::kBFloat16 : at::kFloat};
}

// Checks that all ranks start from the same inputs and that the rows fit the model. Must run before ranks share
// anything of it.
LanguageModel& checked(LanguageModel& model, const TokenizedDataset& training, const TokenizedDataset* validation,
                       const Hyperparameters& hyperparameters, Communicator& communicator) {
  check_same_settings(communicator, hyperparameters.values());
  check_same_data(communicator, training, validation);
  check_same_model(communicator, model);
  if (hyperparameters.fp16 && model.info().has_encoder) {
    throw InputError(
        "fp16: expected a decoder-only model, found an encoder-decoder, whose activations exceed what fp16 holds; use "
        "bf16: true");
  }
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

// Returns a short row of the global batch.
std::uint64_t filler_of(const batching::StepPlan& plan) {
  const auto with_rows =
      std::ranges::find_if(plan.ranks, [](const auto& micro_batches) { return !micro_batches.empty(); });
  return with_rows->back().examples.back();
}

// Clips as torch.nn.utils.clip_grad_norm_ does; 0 turns clipping off.
double clip_factor(double norm, double max_norm) {
  constexpr double kEpsilon = 1e-6;
  return max_norm == 0 ? 1 : std::min(1.0, max_norm / (norm + kEpsilon));
}

}  // namespace

// exchange() sums every member, so all are doubles.
struct TrainingLoop::StepSums {
  double loss = 0;
  double waited_s = 0;  // for rows
};

TrainingLoop::TrainingLoop(LanguageModel& model, std::shared_ptr<const TokenizedDataset> training,
                           std::shared_ptr<const TokenizedDataset> validation, TokenId pad_id,
                           const Hyperparameters& hyperparameters, std::shared_ptr<Communicator> communicator)
    : model_(checked(model, *training, validation.get(), hyperparameters, *communicator)),
      training_(std::move(training)),
      validation_(std::move(validation)),
      pad_id_(pad_id),
      hyperparameters_(hyperparameters),
      communicator_(std::move(communicator)),
      global_batch_size_(batching::global_batch_rows(hyperparameters, communicator_->world_size())),
      activations_(agree_on_activations(model, *training_, hyperparameters, *communicator_)),
      limits_(batching::micro_batch_limits(hyperparameters, global_batch_size_, communicator_->world_size(),
                                           activations_.max_tokens)),
      batch_cost_(batching::batch_cost(model)),
      batches_(training_->size(), global_batch_size_, static_cast<std::uint64_t>(hyperparameters.seed)),
      total_steps_(count_steps(hyperparameters, batches_.steps_per_epoch())),
      layout_(make_layout(model, hyperparameters)),
      ownership_(make_ownership(layout_, hyperparameters, *communicator_)),
      parameters_(layout_, ownership_, communicator_, shares_parameters(hyperparameters.optimizer_sharding)),
      layers_(parameters_),
      reducer_(layout_, ownership_, communicator_, reducer_options(hyperparameters)),
      optimizer_(make_optimizer({layout_, ownership_, parameters_.own(), hyperparameters, communicator_})),
      rounded_weights_(choose_product_type(hyperparameters, model.device(), *communicator_),
                       /*keeps=*/!shares_parameters(hyperparameters.optimizer_sharding)),
      loss_scaler_(hyperparameters.fp16),
      schedule_(hyperparameters.lr_scheduler_type, hyperparameters.learning_rate,
                count_warmup_steps(hyperparameters, total_steps_), total_steps_),
      guard_(static_cast<std::uint64_t>(hyperparameters.max_skipped_steps), total_steps_, training_, communicator_) {}

TrainingLoop::~TrainingLoop() = default;

void TrainingLoop::restore(const std::filesystem::path& checkpoint, const LoopState& state) {
  load_optimizer_state(checkpoint, *optimizer_);
  optimizer_->set_updates(state.optimizer_updates);
  guard_.restore(state.skipped_steps, state.skipped_in_a_row);
  loss_scaler_.restore(state.loss_scaler);
  state_ = saved_ = state;
}

void TrainingLoop::run(const std::vector<MetricSink*>& sinks, CheckpointWriter* checkpoints, StopRequests* stop) {
  sinks_ = sinks;
  checkpoints_ = checkpoints;
  stop_ = stop;
  saved_at_ = step_begun_ = Clock::now();
  model_.train();
  inputs_ = std::make_unique<batching::StepInputs>(input_source(), state_.position.step, total_steps_);
  guard_.watch_weights(parameters_.own());
  while (!is_over()) {
    if (stop_ != nullptr && stop_->agreed()) stop_early();
    const bool is_done = evaluation_is_due() ? evaluate() : train_step();
    if (is_done && checkpoint_is_due()) save_checkpoint(/*is_urgent=*/false);
  }
  if (checkpoints_ != nullptr) checkpoints_->finish();
  guard_.check_weights(state_.position.step, parameters_.own());
  inputs_.reset();
  parameters_.gather_all();
  model_.eval();
}

bool TrainingLoop::train_step() {
  const std::uint64_t step = state_.position.step;
  communicator_->set_activity(fmt::format("step {}", step + 1));
  const batching::StepPlan plan = inputs_->next_plan();
  reducer_.zero();
  const std::optional<StepSums> own_sums = run_micro_batches(step, plan);
  reducer_.finish();
  if (!own_sums) return false;
  const StepSums sums = exchange(*own_sums);
  if (std::exchange(is_first_step_, false)) warn_about_unused_parameters();

  StepMetrics metrics;
  metrics.grad_norm = reducer_.norm() / loss_scaler_.scale();
  metrics.learning_rate = schedule_.at(step);
  if (hyperparameters_.fp16) metrics.loss_scale = loss_scaler_.scale();
  metrics.skipped = skips(step + 1, sums.loss, metrics.grad_norm);
  if (!metrics.skipped) update(metrics);

  metrics.step = step + 1;
  metrics.epoch = epochs_done(step + 1);
  metrics.loss = sums.loss / static_cast<double>(std::max<std::uint64_t>(1, plan.label_tokens));
  metrics.tokens = plan.tokens;
  metrics.target_tokens = plan.label_tokens;
  metrics.padding = plan.padding;
  metrics.flops = kFlopsOfMultiplyAdd * plan.useful_cost;
  metrics.peak_flops = peak_flops_;
  metrics.seconds = seconds_since(step_begun_);
  metrics.input_wait = sums.waited_s / communicator_->world_size() / metrics.seconds;
  step_begun_ = Clock::now();
  state_.position = {.step = step + 1};
  state_.optimizer_updates = optimizer_->updates();
  state_.skipped_steps = guard_.skipped_steps();
  state_.skipped_in_a_row = guard_.skipped_in_a_row();
  state_.loss_scaler = loss_scaler_.state();
  for (MetricSink* sink : sinks_) sink->on_step(metrics);
  return true;
}

bool TrainingLoop::skips(std::uint64_t step, double loss, double grad_norm) {
  if (!std::isfinite(grad_norm) && std::isfinite(loss) && loss_scaler_.shrink()) {
    guard_.skip_for_loss_scale(step, loss_scaler_.scale());
    return true;
  }
  return guard_.skips(step, loss, grad_norm);
}

std::optional<TrainingLoop::StepSums> TrainingLoop::run_micro_batches(std::uint64_t step,
                                                                      const batching::StepPlan& plan) {
  const double scale = loss_scaler_.scale() / static_cast<double>(std::max<std::uint64_t>(1, plan.label_tokens));
  const std::vector<batching::MicroBatch>& own = plan.ranks[static_cast<std::size_t>(communicator_->rank())];
  std::size_t passes = 1;
  for (const auto& micro_batches : plan.ranks) passes = std::max(passes, micro_batches.size());
  // A rank with fewer micro-batches idles first, so that its last sums are also sent while backward runs.
  const std::size_t idle_passes = passes - own.size();
  std::vector<at::Tensor> losses;  // read after the last pass, so that the host can run ahead of a GPU
  for (std::size_t pass = 0; pass < passes; ++pass) {
    const bool is_last = pass + 1 == passes;
    const bool asks = stop_ != nullptr && !is_last;  // after the last pass, exchange() asks
    if (asks) stop_->begin_synchronize();
    reducer_.begin_pass(is_last);
    if (pass >= idle_passes) {
      losses.push_back(run_pass(step, inputs_->next_batch().to(model_.device()), scale));
    } else if (parameters_.frees_layers()) {
      // Takes part in gathering the layers, and discards the result.
      const models::Batch filler =
          models::read_batch(*training_, std::array{filler_of(plan)}, model_.info().decoder_start_id, pad_id_);
      run_pass(step, filler.to(model_.device()), 0);
    }
    reducer_.end_pass();
    layers_.end_pass();
    if (asks && stop_->finish_synchronize()) return std::nullopt;
  }
  StepSums sums{.waited_s = inputs_->take_wait_s()};
  for (std::size_t i = 0; i < own.size(); ++i) {
    const auto loss = losses[i].item<double>();
    guard_.check_loss(loss, own[i].examples);
    sums.loss += loss;
  }
  return sums;
}

TrainingLoop::StepSums TrainingLoop::exchange(const StepSums& own) {
  using Sums = std::array<double, sizeof(StepSums) / sizeof(double)>;
  constexpr std::size_t kSave = std::tuple_size_v<Sums>, kParts = kSave + 1, kStop = kParts + 1;
  at::Tensor sums = at::zeros({kStop + StopRequests::kReasons}, at::kDouble);
  const std::span<double> numbers(sums.data_ptr<double>(), kStop + StopRequests::kReasons);
  const bool is_late = seconds_since(saved_at_) >= 60 * hyperparameters_.save_interval_minutes;
  std::ranges::copy(std::bit_cast<Sums>(own), numbers.begin());
  numbers[kSave] = communicator_->is_root() && is_late ? 1 : 0;
  if (checkpoints_ != nullptr) numbers[kParts] = checkpoints_->local_progress();
  if (stop_ != nullptr) {
    if (checkpoints_ != nullptr) stop_->set_time_to_save(checkpoints_->time_to_save());
    std::ranges::copy(stop_->local_state(), numbers.begin() + kStop);
  }
  communicator_->all_reduce_sum(sums);
  is_time_to_save_ = numbers[kSave] > 0;
  if (checkpoints_ != nullptr) checkpoints_->apply_progress(numbers[kParts]);
  if (stop_ != nullptr) stop_->apply_sums(numbers.subspan(kStop));
  Sums total{};
  std::ranges::copy(numbers.first(total.size()), total.begin());
  return std::bit_cast<StepSums>(total);
}

batching::InputSource TrainingLoop::input_source() const {
  return {.rows = training_,
          .batches = batches_,
          .limits = limits_,
          .cost = batch_cost_,
          .rank = communicator_->rank(),
          .world_size = communicator_->world_size(),
          .decoder_start_id = model_.info().decoder_start_id,
          .pad_id = pad_id_};
}

models::Pass TrainingLoop::training_pass(std::uint64_t step, const models::Batch& batch, double scale) {
  const auto seed = static_cast<std::uint64_t>(hyperparameters_.seed);
  const double noise = hyperparameters_.neftune_noise_alpha.value_or(0);
  return {.rounded_weights = rounded_weights_.type() == at::kFloat ? nullptr : &rounded_weights_,
          .dropout = models::Dropout(seed, step, batch.example_ids),
          .noise = models::EmbeddingNoise(noise, seed, step, batch.example_ids),
          .label_smoothing = hyperparameters_.label_smoothing_factor,
          .adds_gradients_in_place = true,
          .loss_scale = scale,
          .observer = &layers_,
          .recomputes_layers = activations_.recomputes_layers};
}

models::Pass TrainingLoop::evaluation_pass() {
  return {.label_smoothing = hyperparameters_.label_smoothing_factor, .observer = &layers_};
}

at::Tensor TrainingLoop::run_pass(std::uint64_t step, const models::Batch& batch, double scale) {
  parameters_.gather(0);
  models::Pass pass = training_pass(step, batch, scale);
  const at::Tensor loss = model_.loss_sum(batch, pass);
  (loss * scale).backward();
  return loss.detach();
}

void TrainingLoop::update(const StepMetrics& metrics) {
  const double factor = clip_factor(metrics.grad_norm, hyperparameters_.max_grad_norm) / loss_scaler_.scale();
  if (factor != 1) reducer_.scale(factor);
  loss_scaler_.grow();
  parameters_.begin_update();
  optimizer_->step(reducer_.gradients(), metrics.learning_rate);
  parameters_.end_update();
  rounded_weights_.clear();
}

void TrainingLoop::warn_about_unused_parameters() const {
  const std::vector<std::string> unused = reducer_.unused_parameters();
  if (unused.empty()) return;
  constexpr std::size_t kNamed = 5;
  const auto named = std::span(unused).first(std::min(kNamed, unused.size()));
  spdlog::warn("{} parameters receive no gradient and are not trained: {}{}", unused.size(), fmt::join(named, ", "),
               unused.size() > kNamed ? ", ..." : "");
}

bool TrainingLoop::ends_epoch() const {
  const std::uint64_t step = state_.position.step;
  return step > 0 && (step % steps_per_epoch() == 0 || step == total_steps_);
}

bool TrainingLoop::evaluation_is_due() const {
  return validation_ != nullptr && ends_epoch() && !state_.position.is_evaluated;
}

bool TrainingLoop::evaluate() {
  const auto start = Clock::now();
  const std::uint64_t step = state_.position.step;
  communicator_->set_activity(fmt::format("the evaluation after step {}", step));
  parameters_.gather(0);
  const auto rows = evaluation::evaluate_rows(model_, *validation_,
                                              static_cast<std::uint64_t>(hyperparameters_.per_device_eval_batch_size),
                                              pad_id_, *communicator_, {}, stop_, evaluation_pass());
  if (!rows) return false;
  const EvaluationMetrics metrics{step, epochs_done(step), evaluation::compute_metrics(*rows),
                                  total(*rows).target_tokens, seconds_since(start)};
  state_.position.is_evaluated = true;
  last_evaluation_is_finite_ = std::isfinite(metrics.eval_loss());
  if (!last_evaluation_is_finite_) {
    guard_.check_weights(step, parameters_.own());
    spdlog::warn(
        "the evaluation after step {}: eval_loss is not finite; this model does not count as the best (lockstep "
        "evaluate "
        "writes the loss of each validation row)",
        step);
  }
  state_.best.take(metrics);
  for (MetricSink* sink : sinks_) sink->on_evaluation(metrics);
  step_begun_ = Clock::now();
  return true;
}

bool TrainingLoop::checkpoint_is_due() const {
  if (checkpoints_ == nullptr || evaluation_is_due() || state_.position == saved_.position) return false;
  const std::uint64_t step = state_.position.step;
  const bool is_best = state_.position.is_evaluated && state_.best.metric && state_.best.step == step;
  if (hyperparameters_.load_best_model_at_end && is_best) return true;
  switch (hyperparameters_.save_strategy) {
    case job::SaveStrategy::kNo:
      return false;
    case job::SaveStrategy::kSteps:
      return step % static_cast<std::uint64_t>(hyperparameters_.save_steps) == 0;
    case job::SaveStrategy::kEpoch:
      return ends_epoch();
    case job::SaveStrategy::kTime:
      return is_time_to_save_;
  }
  return false;
}

void TrainingLoop::save_checkpoint(bool is_urgent) {
  guard_.check_weights(state_.position.step, parameters_.own());
  for (MetricSink* sink : sinks_) sink->sync();
  checkpoints_->begin(state_, layout_, ownership_, parameters_, *optimizer_, is_urgent);
  saved_ = state_;
  saved_at_ = Clock::now();
}

bool TrainingLoop::is_over() const {
  const auto patience = static_cast<std::uint64_t>(hyperparameters_.early_stopping_patience);
  const bool is_early = patience > 0 && state_.best.evaluations_since >= patience;
  return !evaluation_is_due() && (is_early || state_.position.step >= total_steps_);
}

void TrainingLoop::stop_early() {
  const std::uint64_t step = state_.position.step;
  communicator_->set_activity(fmt::format("saving after step {}", step));
  if (checkpoints_ == nullptr || step == 0) {
    parameters_.gather_all();  // leaves no collective in flight
    stop_->stop("there was nothing to save; run the same command again");
  }
  if (state_.position != saved_.position || !checkpoints_->finish().empty()) {
    save_checkpoint(/*is_urgent=*/true);
    if (const std::string problem = checkpoints_->finish(); !problem.empty()) {
      comm::run_on_all(*communicator_, [&] {
        throw Error(
            fmt::format("stopped ({}), but {} was not saved: {}", stop_->reason(), checkpoint_name(step), problem));
      });
    }
  }
  stop_->stop(fmt::format("{} is saved; run the same command again to resume", checkpoint_name(step)));
}

double TrainingLoop::epochs_done(std::uint64_t step) const {
  return static_cast<double>(step) / static_cast<double>(steps_per_epoch());
}

}  // namespace lockstep::train
