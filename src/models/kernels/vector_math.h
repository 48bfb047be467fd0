#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/BFloat16.h>

#include <bit>
#include <cstdint>

/// Compiles a function for several instruction sets and selects the best at program start, so that simple loops in it
/// compute eight or sixteen numbers at a time.
#define LOCKSTEP_VECTORISED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))

// Loops over consecutive numbers on the host. Callers pass blocks that stay in the first-level cache between calls.
namespace lockstep::models {

/// Returns `x` if `is_met`, else `other`, selected by bit masks. GCC may turn a conditional expression into a branch,
/// with the results of a constant computed in advance, which prevents vectorisation.
[[gnu::always_inline]] inline float choose(bool is_met, float x, float other) {
  const std::int32_t mask = -static_cast<std::int32_t>(is_met);  // all bits or none
  return std::bit_cast<float>((std::bit_cast<std::int32_t>(x) & mask) | (std::bit_cast<std::int32_t>(other) & ~mask));
}

/// Returns whether loops over fp32 numbers may read `x` once it is contiguous.
inline bool is_on_host_in_fp32(const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

/// Returns whether no value is NaN or infinite.
bool all_finite(const float* values, std::int64_t size);
/// Returns the maximum of the values, or -infinity if there are none.
float largest_of(const float* values, std::int64_t size);
/// Returns the sum of the values in single precision, accumulated in 32 parallel partial sums.
float sum_of(const float* values, std::int64_t size);
/// Returns the sum of values[i] x others[i] in single precision, accumulated in 32 parallel partial sums.
float sum_of_products(const float* values, const float* others, std::int64_t size);
/// Replaces each value with e^(value - less), within 2 units in the last place, or with 0 if the result is below the
/// smallest normal number. value - less must be at most 88.
void exponentiate(float* values, std::int64_t size, float less);
/// Replaces each value with value x factor - less.
void scale(float* values, std::int64_t size, float factor, float less = 0);
/// Replaces each value with factors[i] x (value - less).
void shift_and_multiply(float* values, const float* factors, std::int64_t size, float less);
/// Adds others[i] to values[i].
void add_to(float* values, const float* others, std::int64_t size);
/// Replaces each value with cap x tanh(value / cap), within a few units in the last place, and stores the derivative at
/// the value in `slopes`.
void soft_cap_with_derivative(float* values, float* slopes, std::int64_t size, float cap);

/// Computes y = x sigmoid(a x + b x^3), within a few units in the last place.
void swish(const float* x, float* y, std::int64_t size, float a, float b);
/// Computes y = x sigmoid(a x + b x^3) up.
void swish_gate(const float* x, const float* up, float* y, std::int64_t size, float a, float b);
/// Computes the gradient of swish() with respect to x, `grad_x`, from the grad_output `grad_output`.
void swish_gradient(const float* x, const float* grad_output, float* grad_x, std::int64_t size, float a, float b);
/// Computes the gradients of swish_gate() with respect to x and `up`, `grad_x` and `grad_up`, from the grad_output
/// `grad_output`.
void swish_gate_gradient(const float* x, const float* up, const float* grad_output, float* grad_x, float* grad_up,
                         std::int64_t size, float a, float b);

/// Converts bf16 to fp32.
void widen(const c10::BFloat16* from, float* to, std::int64_t size);
/// Converts fp32 to bf16, rounded to nearest, ties to even.
void narrow(const float* from, c10::BFloat16* to, std::int64_t size);

}  // namespace lockstep::models
