#pragma once

#include <cstdint>
#include <string>

namespace lockstep::train {

/// The learning rate of each optimizer step, with the formulas of transformers' optimization.py: "linear" and "cosine"
/// decay from the peak to 0 at the last step, "constant" and "constant_with_warmup" keep it. During the first
/// `warmup_steps` it rises linearly from 0 (except for "constant").
class LearningRateSchedule {
 public:
  /// Throws InputError if `type` is none of these.
  LearningRateSchedule(const std::string& type, double peak, std::uint64_t warmup_steps, std::uint64_t total_steps);

  /// Returns the learning rate of optimizer step `step`, counted from 0.
  double at(std::uint64_t step) const;

 private:
  enum class Decay { kNone, kLinear, kCosine };
  Decay decay_;
  double peak_;
  std::uint64_t warmup_steps_;
  std::uint64_t total_steps_;
};

}  // namespace lockstep::train
