#pragma once

#include <cstdint>

namespace lockstep::train {

/// The factor by which the loss is multiplied before the backward pass, so that small gradients do not become 0 in
/// fp16: the largest that does not overflow (dynamic loss scaling, Micikevicius et al. 2018, section 3.2, with the
/// defaults of PyTorch's GradScaler: it starts at 65,536, doubles after 2,000 consecutive steps without overflow, and
/// halves after one with overflow).
class LossScaler {
 public:
  static constexpr std::uint64_t kGrowthInterval = 2000;

  struct State {
    double scale = 65536;     // a power of two
    std::uint64_t steps = 0;  // at this scale
  };

  /// If `is_on` is false, the scale is always 1.
  explicit LossScaler(bool is_on) : is_on_(is_on) {}
  double scale() const { return is_on_ ? state_.scale : 1; }
  /// Counts a step with finite gradients.
  void grow();
  /// Reacts to a step whose gradients were not finite. Returns false if a smaller scale would not help.
  bool shrink();

  const State& state() const { return state_; }
  void restore(const State& state) { state_ = state; }

 private:
  bool is_on_;
  State state_;
};

}  // namespace lockstep::train
