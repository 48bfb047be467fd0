#include "lockstep/train/schedule.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <numbers>

#include "lockstep/core/error.h"

namespace lockstep::train {

LearningRateSchedule::LearningRateSchedule(const std::string& type, double peak, std::uint64_t warmup_steps,
                                           std::uint64_t total_steps)
    : peak_(peak), warmup_steps_(type == "constant" ? 0 : warmup_steps), total_steps_(total_steps) {
  if (type == "linear") {
    decay_ = Decay::kLinear;
  } else if (type == "cosine") {
    decay_ = Decay::kCosine;
  } else if (type == "constant" || type == "constant_with_warmup") {
    decay_ = Decay::kNone;
  } else {
    throw InputError(fmt::format(
        "lr_scheduler_type: expected one of: linear, cosine, constant, constant_with_warmup, found '{}'", type));
  }
}

double LearningRateSchedule::at(std::uint64_t step) const {
  if (step < warmup_steps_) return peak_ * static_cast<double>(step) / static_cast<double>(warmup_steps_);
  if (decay_ == Decay::kNone) return peak_;
  const std::uint64_t decay_steps = std::max<std::uint64_t>(1, total_steps_ - std::min(total_steps_, warmup_steps_));
  const double progress = std::min(1.0, static_cast<double>(step - warmup_steps_) / static_cast<double>(decay_steps));
  if (decay_ == Decay::kLinear) return peak_ * (1 - progress);
  return peak_ * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

}  // namespace lockstep::train
