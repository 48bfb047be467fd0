#pragma once

#include <cstdint>
#include <string>

namespace lockstep::train {

/// The learning rate of each optimizer step, by the formulas of transformers' optimization.py: "linear" and "cosine"
/// fall from the peak to 0 at the last step, "constant" and "constant_with_warmup" stay; during the first
/// `warmup_steps` it rises linearly from 0 (not for "constant").
class LearningRateSchedule {
 public:
  /// Throws InputError for another type.
  LearningRateSchedule(const std::string& type, double peak, std::uint64_t warmup_steps, std::uint64_t total_steps);

  /// Of optimizer step `step`, counted from 0.
  double at(std::uint64_t step) const;

 private:
  enum class Decay { kNone, kLinear, kCosine };
  Decay decay_;
  double peak_;
  std::uint64_t warmup_steps_;
  std::uint64_t total_steps_;
};

}  // namespace lockstep::train
