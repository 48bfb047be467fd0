#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep::models {

/// Returns the tensor to which a backward pass adds the gradient of `parameter` in place; undefined if there is none
/// and the gradient must be returned to autograd.
at::Tensor gradient_to_add_to(const at::Tensor& parameter);

}  // namespace lockstep::models
