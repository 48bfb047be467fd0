#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep::models {

/// Returns x / sqrt(mean(x^2) + epsilon) x weight over the last dimension (Zhang and Sennrich 2019), for fp32 tensors
/// on the host. Forward and backward finish each row while it is in the first-level cache, where at::rms_norm makes a
/// dozen passes over memory; the graph holds x, weight and one number per row. Gradients do not depend on the number of
/// threads.
at::Tensor rms_norm_on_host(const at::Tensor& x, const at::Tensor& weight, double epsilon);

}  // namespace lockstep::models
