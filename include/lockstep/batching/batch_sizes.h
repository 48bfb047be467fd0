#pragma once

#include <cstdint>

#include "lockstep/batching/batch_plan.h"
#include "lockstep/job/hyperparameters.h"

namespace lockstep::batching {

/// Returns the number of rows in an optimizer step, over all ranks.
std::uint64_t global_batch_rows(const Hyperparameters& hyperparameters, int world_size);

/// Returns the limits of a micro-batch. `token_limit` applies if max_tokens_per_micro_batch is not set.
MicroBatchLimits micro_batch_limits(const Hyperparameters& hyperparameters, std::uint64_t global_batch_size,
                                    int world_size, std::uint64_t token_limit);

}  // namespace lockstep::batching
