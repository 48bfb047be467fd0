#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "lockstep/core/json.h"
#include "lockstep/core/progress.h"
#include "lockstep/evaluation/metrics.h"
#include "lockstep/train/step_metrics.h"

namespace lockstep::train {

/// The metrics of one evaluation, over all rows of the validation set.
struct EvaluationMetrics {
  std::uint64_t step = 0;
  double epoch = 0;
  std::vector<evaluation::MetricValue> values;  // of all evaluation::metrics(), the loss first
  std::uint64_t target_tokens = 0;
  double seconds = 0;

  /// Returns the mean loss over the validation set's target tokens.
  double eval_loss() const { return values.empty() ? 0 : values.front().value; }
};

/// Receives the metrics of a run as they arise. Only rank 0 has sinks, except those that observe the rank itself.
class MetricSink {
 public:
  virtual ~MetricSink() = default;
  virtual void on_step(const StepMetrics& metrics) = 0;
  virtual void on_evaluation(const EvaluationMetrics& metrics) = 0;
  /// Returns once everything received so far would survive a crash of the node.
  virtual void sync() {}
};

/// The position of a run between its steps.
struct RunPosition {
  std::uint64_t step = 0;     // completed
  bool is_evaluated = false;  // whether the evaluation due after it is completed, too

  bool operator==(const RunPosition&) const = default;
};

/// Writes one line of JSON per step and per evaluation, with the kind in "event", each immediately. Numbers that are
/// not finite are written as null.
class JsonLinesSink final : public MetricSink {
 public:
  /// Writes every `logging_steps`-th step. Replaces an old file, or continues after its lines up to `resumed_at`, with
  /// a warning if some are missing. Throws Error if the file cannot be written.
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

/// Totals over several steps.
class StepTotals {
 public:
  void add(const StepMetrics& metrics);
  /// Returns the mean over the target tokens of the steps that were not skipped, or NaN if all were.
  double loss() const;
  std::uint64_t skipped_steps() const { return skipped_steps_; }
  double tokens_per_second() const { return static_cast<double>(tokens_) / seconds_; }
  /// Returns nothing if the peak is unknown for all steps.
  std::optional<double> mfu() const;
  /// Returns the share of the time that ranks waited for rows.
  double input_wait() const { return input_wait_s_ / seconds_; }
  Json state() const;
  void restore(const Json& state);

 private:
  double loss_sum_ = 0, seconds_ = 0;
  double flops_ = 0, possible_flops_ = 0, input_wait_s_ = 0;
  std::uint64_t tokens_ = 0, target_tokens_ = 0, skipped_steps_ = 0;
};

/// The metrics of one epoch, or of the part of it that was run.
struct EpochMetrics {
  double epoch = 0;        // epochs done at its end
  std::uint64_t step = 0;  // at its end
  double loss = 0;         // mean over the target tokens of its steps, except skipped ones; NaN if all were skipped
  double tokens_per_second = 0;
  std::optional<double> eval_loss;
  std::uint64_t skipped_steps = 0;
  std::optional<double> mfu = {};
  double input_wait = 0;
};

/// Remembers the metrics of every epoch.
class EpochSink final : public MetricSink {
 public:
  EpochSink(std::uint64_t total_steps, std::uint64_t steps_per_epoch)
      : total_steps_(total_steps), steps_per_epoch_(steps_per_epoch) {}
  void on_step(const StepMetrics& metrics) override;
  void on_evaluation(const EvaluationMetrics& metrics) override;
  const std::vector<EpochMetrics>& epochs() const { return epochs_; }
  /// Returns everything that the sink remembers, for a checkpoint.
  Json state() const;
  /// Restores a state(). Throws InputError if it is malformed.
  void restore(const Json& state);

 private:
  std::uint64_t total_steps_;
  std::uint64_t steps_per_epoch_;
  StepTotals totals_;
  std::vector<EpochMetrics> epochs_;
};

/// Shows a progress bar with the time left, and logs a line per epoch.
class ConsoleSink final : public MetricSink {
 public:
  /// `epochs` must receive the same metrics first, and outlive this sink. `first_step` steps were done before.
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
}  // namespace lockstep
