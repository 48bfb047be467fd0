#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep::models {

/// x / sqrt(mean(x^2) + epsilon) x weight over the last dimension (Zhang and Sennrich 2019), of fp32 tensors on the
/// host: forward and backward each go over a row while it is in the nearest cache, and the graph holds x and a number a
/// row. at::rms_norm makes a dozen passes over memory there. Gradients are the same for any number of threads.
at::Tensor rms_norm_on_host(const at::Tensor& x, const at::Tensor& weight, double epsilon);

}  // namespace lockstep::models
