#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "lockstep/core/json.h"
#include "lockstep/core/progress.h"

namespace lockstep::train {

/// What one optimizer step did, over all ranks.
struct StepMetrics {
  std::uint64_t step = 0;  // from 1
  double epoch = 0;        // epochs done, with the fraction
  double loss = 0;         // mean over the global batch's target tokens
  double grad_norm = 0;    // before clipping
  double learning_rate = 0;
  std::uint64_t tokens = 0;               // real ones
  std::uint64_t target_tokens = 0;        // those that the loss covers
  double padding = 0;                     // share of the multiply-adds that is computed in vain
  double flops = 0;                       // floating-point operations that the model asks for, forward and backward
  double peak_flops = 0;                  // a second, of all ranks together; 0: unknown
  double input_wait = 0;                  // share of the step for which a rank waits for its rows, on average
  double seconds = 0;                     // since the step before, or the evaluation after it
  std::optional<double> loss_scale = {};  // with fp16
  bool skipped = false;                   // loss or grad_norm is not finite: the weights stayed as they were
};

/// Model FLOPs utilisation (Chowdhery et al. 2022, appendix B): what the model asks for as a share of the peak.
std::optional<double> mfu(const StepMetrics& metrics);

struct EvaluationMetrics {
  std::uint64_t step = 0;
  double epoch = 0;
  double eval_loss = 0;  // mean over the validation set's target tokens
  std::uint64_t target_tokens = 0;
  double seconds = 0;
};

/// Receives the metrics of a run as they come. Only rank 0 has sinks, but for those that watch the rank itself.
class MetricSink {
 public:
  virtual ~MetricSink() = default;
  virtual void on_step(const StepMetrics& metrics) = 0;
  virtual void on_evaluation(const EvaluationMetrics& metrics) = 0;
  /// Returns once what it has received would survive the node.
  virtual void sync() {}
};

/// Where a run stands between its steps.
struct RunPosition {
  std::uint64_t step = 0;     // done
  bool is_evaluated = false;  // the evaluation that is due after it, too

  bool operator==(const RunPosition&) const = default;
};

/// A line of JSON a step and an evaluation, with "event" telling which, each written at once. A number that is not
/// finite is null.
class JsonLinesSink final : public MetricSink {
 public:
  /// Steps are written every `logging_steps`. Replaces an old file, but goes on behind its lines of up to `resumed_at`;
  /// warns if it lacks some. Throws Error if it cannot be written.
  JsonLinesSink(std::filesystem::path path, std::uint64_t logging_steps,
                std::optional<RunPosition> resumed_at = std::nullopt);
  ~JsonLinesSink() override;
  JsonLinesSink(const JsonLinesSink&) = delete;
  JsonLinesSink& operator=(const JsonLinesSink&) = delete;
  void on_step(const StepMetrics& metrics) override;
  void on_evaluation(const EvaluationMetrics& metrics) override;
  void sync() override;

 private:
  void keep_lines(const RunPosition& until);
  void write_line(std::string line);

  std::filesystem::path path_;
  std::uint64_t logging_steps_;
  int descriptor_ = -1;
};

/// Steps together.
class StepTotals {
 public:
  void add(const StepMetrics& metrics);
  /// Mean over the target tokens of the steps that were not skipped; NaN if all were.
  double loss() const;
  std::uint64_t skipped_steps() const { return skipped_steps_; }
  double tokens_per_second() const { return static_cast<double>(tokens_) / seconds_; }
  /// None if the peak of a step is unknown.
  std::optional<double> mfu() const;
  /// Share of the time.
  double input_wait() const { return input_wait_s_ / seconds_; }
  Json state() const;
  void restore(const Json& state);

 private:
  double loss_sum_ = 0, seconds_ = 0;
  double flops_ = 0, possible_flops_ = 0, input_wait_s_ = 0;
  std::uint64_t tokens_ = 0, target_tokens_ = 0, skipped_steps_ = 0;
};

/// One epoch, or as much of it as was run.
struct EpochMetrics {
  double epoch = 0;        // epochs done at its end
  std::uint64_t step = 0;  // at its end
  double loss = 0;         // mean over the target tokens of its steps without the skipped; NaN if all were
  double tokens_per_second = 0;
  std::optional<double> eval_loss;
  std::uint64_t skipped_steps = 0;
  std::optional<double> mfu = {};
  double input_wait = 0;
};

/// Remembers every epoch.
class EpochSink final : public MetricSink {
 public:
  EpochSink(std::uint64_t total_steps, std::uint64_t steps_per_epoch)
      : total_steps_(total_steps), steps_per_epoch_(steps_per_epoch) {}
  void on_step(const StepMetrics& metrics) override;
  void on_evaluation(const EvaluationMetrics& metrics) override;
  const std::vector<EpochMetrics>& epochs() const { return epochs_; }
  /// All that it remembers, for a checkpoint.
  Json state() const;
  /// Throws InputError for what is not a state.
  void restore(const Json& state);

 private:
  std::uint64_t total_steps_;
  std::uint64_t steps_per_epoch_;
  StepTotals totals_;
  std::vector<EpochMetrics> epochs_;
};

/// A progress bar with the time left, and a line in the log an epoch.
class ConsoleSink final : public MetricSink {
 public:
  /// `epochs` receives the same before it, and lives as long. `first_step` were done before.
  ConsoleSink(std::uint64_t total_steps, const EpochSink& epochs, std::uint64_t first_step = 0);
  void on_step(const StepMetrics& metrics) override;
  void on_evaluation(const EvaluationMetrics& metrics) override;

 private:
  core::Progress progress_;
  std::uint64_t total_steps_;
  const EpochSink& epochs_;
  std::size_t shown_epochs_;
};

}  // namespace lockstep::train

namespace lockstep {
using train::EvaluationMetrics;
using train::MetricSink;
using train::StepMetrics;
}  // namespace lockstep
