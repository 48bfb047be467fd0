#pragma once

#include <cstdint>

#include "lockstep/batching/batch_plan.h"
#include "lockstep/job/hyperparameters.h"

namespace lockstep::batching {

/// Rows of an optimizer step over all ranks.
std::uint64_t global_batch_rows(const Hyperparameters& hyperparameters, int world_size);

/// What bounds a micro-batch. `token_limit` holds where the job gives no max_tokens_per_micro_batch.
MicroBatchLimits micro_batch_limits(const Hyperparameters& hyperparameters, std::uint64_t global_batch_size,
                                    int world_size, std::uint64_t token_limit);

}  // namespace lockstep::batching
