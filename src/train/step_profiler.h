#pragma once

#include <c10/core/Device.h>
#include <cstdint>
#include <filesystem>

#include "lockstep/train/metric_sink.h"

namespace lockstep::train {

/// Records what a rank computes in `steps` steps, from the fourth on, and writes it as a Chrome trace, which
/// ui.perfetto.dev and chrome://tracing open. With `has_table` it also logs a table of where the time went.
class StepProfiler final : public MetricSink {
 public:
  /// Creates the folder of `trace` when the trace is written.
  StepProfiler(std::filesystem::path trace, std::uint64_t steps, at::Device device, bool has_table);
  /// Writes what was recorded so far if the run ended early, and logs a warning about missing steps.
  ~StepProfiler() override;
  StepProfiler(const StepProfiler&) = delete;
  StepProfiler& operator=(const StepProfiler&) = delete;

  /// Throws Error if the trace cannot be written.
  void on_step(const StepMetrics& metrics) override;
  void on_evaluation(const EvaluationMetrics&) override {}

 private:
  void begin();
  void finish();

  std::filesystem::path trace_;
  std::uint64_t steps_;
  at::Device device_;
  bool has_table_;
  std::uint64_t seen_ = 0;
  bool is_recording_ = false;
  std::uint64_t last_step_ = 0;
  double recorded_s_ = 0;
};

}  // namespace lockstep::train
