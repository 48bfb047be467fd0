#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/BFloat16.h>

#include <bit>
#include <cstdint>

/// Makes a function for the instructions of several CPUs, and takes the best of them at the start: simple loops in it
/// compute eight or sixteen numbers at a time.
#define LOCKSTEP_VECTORISED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))

// Loops over consecutive numbers on the host, which stay in the nearest cache between one and the next.
namespace lockstep::models {

/// `x` where `is_met`, else `other`, by their bits: of a conditional expression GCC makes a branch, with what follows
/// from a constant computed beforehand, and then cannot compute several numbers at a time.
[[gnu::always_inline]] inline float choose(bool is_met, float x, float other) {
  const std::int32_t mask = -static_cast<std::int32_t>(is_met);  // all bits or none
  return std::bit_cast<float>((std::bit_cast<std::int32_t>(x) & mask) | (std::bit_cast<std::int32_t>(other) & ~mask));
}

/// Whether loops over fp32 numbers may read `x`, once it lies together.
inline bool is_on_host_in_fp32(const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

/// -infinity of none.
float largest_of(const float* values, std::int64_t size);
/// In single precision, sixteen sums side by side.
float sum_of(const float* values, std::int64_t size);
/// Of values[i] x others[i], likewise.
float sum_of_products(const float* values, const float* others, std::int64_t size);
/// Each value becomes e^(value - less), within 2 units in the last place; 0 for what is below the smallest normal
/// number. value - less is at most 88.
void exponentiate(float* values, std::int64_t size, float less);
/// Each value becomes value x factor - less.
void scale(float* values, std::int64_t size, float factor, float less = 0);
/// Each value becomes factors[i] x (value - less).
void shift_and_multiply(float* values, const float* factors, std::int64_t size, float less);
/// Adds `others`.
void add_to(float* values, const float* others, std::int64_t size);
/// Each value becomes cap x tanh(value / cap), within some units in the last place, and `slopes` that function's slope
/// there.
void soften(float* values, float* slopes, std::int64_t size, float cap);

/// y = x sigmoid(a x + b x^3), within some units in the last place.
void swish(const float* x, float* y, std::int64_t size, float a, float b);
/// y = x sigmoid(a x + b x^3) up.
void swish_gate(const float* x, const float* up, float* y, std::int64_t size, float a, float b);
/// Their gradients, of x and of `up`, where `upper` is that of y.
void swish_gradient(const float* x, const float* upper, float* of_x, std::int64_t size, float a, float b);
void swish_gate_gradient(const float* x, const float* up, const float* upper, float* of_x, float* of_up,
                         std::int64_t size, float a, float b);

/// Rounded to the nearest, ties to even.
void widen(const c10::BFloat16* from, float* to, std::int64_t size);
void narrow(const float* from, c10::BFloat16* to, std::int64_t size);

}  // namespace lockstep::models
