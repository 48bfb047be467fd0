#pragma once

#include <ATen/core/Tensor.h>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/train/optimizers/optimizer.h"

namespace lockstep::train {

/// What a rank saves of an optimizer's state, by parameters, so that a run with other buckets, parts or ranks can read
/// it: flat fp32 stretches, views of the state, named after the parameter, what is remembered of it, and the first
/// element of the stretch in its flat order, e.g. "transformer.h.0.attn.c_attn.weight/exp_avg/4096". The padding
/// between parameters is left out. Parameters of which the rank saves nothing have none.
std::vector<std::pair<std::string, at::Tensor>> saved_state(const Optimizer& optimizer);

/// Reads what `optimizer` holds of its state from the optimizer's files in a checkpoint
/// (train/checkpoints/checkpoint.h), whatever layout, ownership and number of ranks wrote them. Not the count of
/// updates. Throws InputError naming the file or folder, parameter and range: of state that is missing, of another type
/// or extent, twice there, or of parameters that are not trained.
void load_optimizer_state(const std::filesystem::path& checkpoint, const Optimizer& optimizer);

}  // namespace lockstep::train
