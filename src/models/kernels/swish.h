#pragma once

#include "models/layers/activation.h"

namespace lockstep::models {

/// swish(x), times `up` unless that is undefined, of fp32 tensors [rows, features] or contiguous ones on the host. Each
/// is one pass over memory, forward and backward; the graph holds x and `up`.
at::Tensor swish_on_host(const at::Tensor& x, const at::Tensor& up, Swish swish);

}  // namespace lockstep::models
