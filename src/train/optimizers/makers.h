#pragma once

#include <memory>

#include "lockstep/train/optimizers/optimizer.h"

namespace lockstep::train {

/// make_adamw() and so on: each creates the optimizer of a row of optimizers.inc.
#define LOCKSTEP_OPTIMIZER(Title, name, ...) std::unique_ptr<Optimizer> make_##name(const OptimizerInputs& inputs);
#include "lockstep/job/optimizers.inc"

}  // namespace lockstep::train
