#include "lockstep/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lockstep::train {

using job::LrScheduler;

LearningRateSchedule::LearningRateSchedule(LrScheduler type, double peak, std::uint64_t warmup_steps,
                                           std::uint64_t total_steps)
    : type_(type),
      peak_(peak),
      warmup_steps_(type == LrScheduler::kConstant ? 0 : warmup_steps),
      total_steps_(total_steps) {}

double LearningRateSchedule::at(std::uint64_t step) const {
  if (step < warmup_steps_) return peak_ * static_cast<double>(step) / static_cast<double>(warmup_steps_);
  if (type_ == LrScheduler::kConstant || type_ == LrScheduler::kConstantWithWarmup) return peak_;
  const std::uint64_t decay_steps = std::max<std::uint64_t>(1, total_steps_ - std::min(total_steps_, warmup_steps_));
  const double progress = std::min(1.0, static_cast<double>(step - warmup_steps_) / static_cast<double>(decay_steps));
  if (type_ == LrScheduler::kLinear) return peak_ * (1 - progress);
  return peak_ * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

}  // namespace lockstep::train
