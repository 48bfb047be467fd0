#pragma once

#include <cstdint>

#include "lockstep/core/hyperparameters.h"

namespace lockstep {

/// Rows of an optimizer step over all ranks.
std::uint64_t global_batch_rows(const Hyperparameters& hyperparameters, int world_size);

/// The most rows of a micro-batch, as plan_step() takes them.
std::uint64_t micro_batch_rows(const Hyperparameters& hyperparameters, std::uint64_t global_batch_size, int world_size);

}  // namespace lockstep
