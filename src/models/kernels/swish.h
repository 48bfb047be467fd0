#pragma once

#include "models/layers/activation.h"

namespace lockstep::models {

/// Returns swish(x), multiplied by `up` if that is defined, for fp32 tensors on the host. Forward and backward each
/// take one pass over memory if the tensors are contiguous or have the shape [rows, features] with consecutive
/// features; others are copied first. The graph holds x and `up`.
at::Tensor swish_on_host(const at::Tensor& x, const at::Tensor& up, Swish swish);

}  // namespace lockstep::models
