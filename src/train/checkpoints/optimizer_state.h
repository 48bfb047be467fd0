#pragma once

#include <ATen/core/Tensor.h>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/train/optimizers/optimizer.h"

namespace lockstep::train {

/// Returns what a rank saves of an optimizer's state, by parameter, so that a run with other buckets, ranges or ranks
/// can read it. The tensors are flat fp32 views of the state. Each is named after the parameter, the kind of state, and
/// its first element in flat order, e.g. "transformer.h.0.attn.c_attn.weight/exp_avg/4096". Padding between parameters
/// is left out, as are parameters of which the rank saves nothing.
std::vector<std::pair<std::string, at::Tensor>> saved_state(const Optimizer& optimizer);

/// Reads the state that `optimizer` holds from the optimizer files of a checkpoint (train/checkpoints/checkpoint.h),
/// whatever layout, ownership and number of ranks wrote them. The number of updates is not included. Throws InputError
/// naming the file or folder, parameter and range if state is missing, duplicate, of another type or size, or belongs
/// to parameters that are not trained.
void load_optimizer_state(const std::filesystem::path& checkpoint, const Optimizer& optimizer);

}  // namespace lockstep::train
