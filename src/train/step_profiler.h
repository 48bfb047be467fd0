#pragma once

#include <c10/core/Device.h>
#include <cstdint>
#include <filesystem>

#include "lockstep/train/metric_sink.h"

namespace lockstep::train {

/// Records what a rank computes in some steps, from the fourth on, and writes it as a Chrome trace, which
/// ui.perfetto.dev and chrome://tracing open. Where rank 0's time goes is a table in the log.
class StepProfiler final : public MetricSink {
 public:
  /// The folder of `trace` is made when it is written.
  StepProfiler(std::filesystem::path trace, std::uint64_t steps, at::Device device, bool has_table);
  /// A run that ended before has its trace as far as it came, or a warning.
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
