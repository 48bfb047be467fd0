#pragma once

#include <cstdint>

namespace lockstep::train {

/// By what the loss is multiplied before the backward pass, so that small gradients do not become 0 in fp16: as much as
/// does not overflow (dynamic loss scaling, Micikevicius et al. 2018, section 3.2, with the defaults of PyTorch's
/// GradScaler: from 65,536, twice as much after 2,000 steps in a row without overflow, half after one with).
class LossScaler {
 public:
  static constexpr std::uint64_t kStepsOfAScale = 2000;

  struct State {
    double scale = 65536;     // a power of two
    std::uint64_t steps = 0;  // at this scale
  };

  /// Not `is_on`: 1 for ever.
  explicit LossScaler(bool is_on) : is_on_(is_on) {}
  double scale() const { return is_on_ ? state_.scale : 1; }
  /// After a step whose gradients were finite.
  void grow();
  /// After one whose gradients were not. False: a smaller scale would not help.
  bool shrink();

  const State& state() const { return state_; }
  void restore(const State& state) { state_ = state; }

 private:
  bool is_on_;
  State state_;
};

}  // namespace lockstep::train
