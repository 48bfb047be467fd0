#pragma once

#include <ATen/core/Tensor.h>

#include "lockstep/models/layers/operand.h"
#include "lockstep/models/layers/pass.h"

namespace lockstep::models {

/// Returns x W^T + bias, [..., out] in fp32, for an operand x [..., in], computed as `pass` says: with rounded factors,
/// with gradients added in place, or both. `weight` is [out, in], or [in, out] if `is_transposed`; `bias` [out] may be
/// undefined.
at::Tensor multiply(const Operand& operand, const at::Tensor& weight, const at::Tensor& bias, bool is_transposed,
                    const Pass& pass);

/// Adds factor x a b to `sum` in the type of `sum`; if `sum` is undefined, sets it to a b in fp32. a is [m, k], b [k,
/// n] and `sum` [m, n].
void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b, double factor = 1);

/// Returns the tensor to which a backward pass adds the gradient of `parameter` in place; undefined if there is none
/// and the gradient must be returned to autograd.
at::Tensor gradient_to_add_to(const at::Tensor& parameter);

}  // namespace lockstep::models
