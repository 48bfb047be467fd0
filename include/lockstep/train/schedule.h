#pragma once

#include <cstdint>

#include "lockstep/job/choices.h"

namespace lockstep::train {

/// The learning rate of each optimizer step, with the formulas of transformers' optimization.py: kLinear and kCosine
/// decay from the peak to 0 at the last step, kConstant and kConstantWithWarmup keep it. During the first
/// `warmup_steps` it rises linearly from 0 (except for kConstant).
class LearningRateSchedule {
 public:
  LearningRateSchedule(job::LrScheduler type, double peak, std::uint64_t warmup_steps, std::uint64_t total_steps);

  /// Returns the learning rate of optimizer step `step`, counted from 0.
  double at(std::uint64_t step) const;

 private:
  job::LrScheduler type_;
  double peak_;
  std::uint64_t warmup_steps_;
  std::uint64_t total_steps_;
};

}  // namespace lockstep::train
