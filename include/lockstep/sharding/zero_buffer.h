#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>

namespace lockstep::sharding {

/// `size` zeros of `options`, for what a run keeps to its end: weights, gradients, an optimizer's state. On the host
/// they lie on pages of their own, huge ones where the system has them: an allocator rounds sizes up to the next of its
/// classes, which took a tenth more for the layers of GPT-2.
at::Tensor zero_buffer(std::int64_t size, const at::TensorOptions& options);

}  // namespace lockstep::sharding
