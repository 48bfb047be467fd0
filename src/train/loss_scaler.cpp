#include "lockstep/train/loss_scaler.h"

namespace lockstep::train {

void LossScaler::grow() {
  if (!is_on_ || ++state_.steps < kGrowthInterval) return;
  state_ = {.scale = 2 * state_.scale};
}

bool LossScaler::shrink() {
  if (!is_on_ || state_.scale <= 1) return false;
  state_ = {.scale = state_.scale / 2};
  return true;
}

}  // namespace lockstep::train
