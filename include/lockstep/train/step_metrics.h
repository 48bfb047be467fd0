#pragma once

#include <cstdint>
#include <optional>

#include "lockstep/core/json.h"

namespace lockstep::train {

/// The metrics of one optimizer step, over all ranks.
struct StepMetrics {
  std::uint64_t step = 0;  // counted from 1
  double epoch = 0;        // epochs done, including the fraction
  double loss = 0;         // mean over the global batch's target tokens
  double grad_norm = 0;    // before clipping
  double learning_rate = 0;
  std::uint64_t tokens = 0;               // without padding
  std::uint64_t target_tokens = 0;        // tokens that the loss covers
  double padding = 0;                     // share of the multiply-adds that is spent on padding
  double flops = 0;                       // floating-point operations that the model needs, forward and backward
  double peak_flops = 0;                  // per second, of all ranks together; 0: unknown
  double input_wait = 0;                  // share of the step that a rank waits for its rows, on average
  double seconds = 0;                     // since the previous step, or the evaluation after it
  std::optional<double> loss_scale = {};  // with fp16
  bool skipped = false;  // whether loss or grad_norm was not finite, and the weights stayed as they were

  double tokens_per_second() const { return static_cast<double>(tokens) / seconds; }
  /// Returns the model FLOPs utilisation (Chowdhery et al. 2022, appendix B): the operations that the model needs as a
  /// share of the peak. Returns nothing if the peak is unknown.
  std::optional<double> mfu() const {
    if (peak_flops == 0) return std::nullopt;
    return flops / (seconds * peak_flops);
  }
};

/// Returns what metrics.jsonl says about a step; docs/metrics.md explains the keys. Keys without a value are left out.
inline Json to_json(const StepMetrics& metrics) {
  Json line = {{"step", metrics.step},
               {"epoch", metrics.epoch},
               {"loss", metrics.loss},
               {"grad_norm", metrics.grad_norm},
               {"learning_rate", metrics.learning_rate},
               {"tokens", metrics.tokens},
               {"target_tokens", metrics.target_tokens},
               {"padding", metrics.padding},
               {"tokens_per_second", metrics.tokens_per_second()},
               {"input_wait", metrics.input_wait},
               {"seconds", metrics.seconds}};
  if (const auto share = metrics.mfu()) line["mfu"] = *share;
  if (metrics.loss_scale) line["loss_scale"] = *metrics.loss_scale;
  if (metrics.skipped) line["skipped"] = true;
  return line;
}

}  // namespace lockstep::train

namespace lockstep {
using train::StepMetrics;
}  // namespace lockstep
