#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep {

/// x sigmoid(linear x + cubic x^3): SiLU (1, 0), the quick GELU (1.702, 0), and the GELU with a hyperbolic tangent,
/// whose (1 + tanh(z)) / 2 is sigmoid(2 z) (Hendrycks and Gimpel 2016).
struct Swish {
  float linear = 1, cubic = 0;
};

/// swish(x), times `up` unless that is undefined, of fp32 tensors [rows, features] or contiguous ones on the host. Each
/// is one pass over memory, forward and backward; the graph holds x and `up`.
at::Tensor swish_on_host(const at::Tensor& x, const at::Tensor& up, Swish swish);

}  // namespace lockstep
