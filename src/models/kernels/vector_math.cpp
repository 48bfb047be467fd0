#include "models/kernels/vector_math.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

namespace lockstep::models {
namespace {

// Sums and maxima are computed in kLanes parallel lanes, a reordering that the compiler may not do by itself. A lane
// vector has the width of an AVX register: for vectors wider than the CPU's, GCC falls back to scalar code.
// kAccumulators independent accumulators hide the latency of the additions.
constexpr std::int64_t kLanes = 8, kAccumulators = 4;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));
using Accumulators = std::array<Lanes, kAccumulators>;

[[gnu::always_inline]] inline void load(const float* values, Lanes& lanes) {
  std::memcpy(&lanes, values, sizeof(lanes));
}

// Calls take(lanes, i) for each whole Lanes vector of `size` numbers, which begins at index i. Returns the number of
// values covered.
template <class Take>
[[gnu::always_inline]] inline std::int64_t for_each_lanes(std::int64_t size, Accumulators& lots, const Take& take) {
  std::int64_t i = 0;
  for (; i + kAccumulators * kLanes <= size; i += kAccumulators * kLanes) {
    for (std::int64_t lot = 0; lot < kAccumulators; ++lot) take(lots[static_cast<std::size_t>(lot)], i + lot * kLanes);
  }
  for (; i + kLanes <= size; i += kLanes) take(lots[0], i);
  return i;
}

[[gnu::always_inline]] inline float sum_of_all(const Accumulators& lots) {
  Lanes lanes{};
  for (const Lanes& lot : lots) lanes += lot;
  float sum = 0;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

[[gnu::always_inline]] inline float at_least(float limit, float x) { return choose(x < limit, limit, x); }

// Computes e^x as Cephes' expf does: 2^n times a polynomial of the remainder. At -88, n is -127 and the bits built for
// 2^n are those of 0.
[[gnu::always_inline]] inline float fast_exp(float x) {
  constexpr float kLog2E = 1.44269504F, kLn2High = 0.693359375F, kLn2Low = -2.12194440e-4F;
  constexpr float kRounder = 12582912.0F;  // 1.5 x 2^23: adding it rounds a number to an integer
  const float clamped = at_least(-88.0F, x);
  const float shifted = clamped * kLog2E + kRounder;
  const float whole = shifted - kRounder;
  const float rest = (clamped - whole * kLn2High) - whole * kLn2Low;
  float series = 1.9875691500e-4F;
  series = series * rest + 1.3981999507e-3F;
  series = series * rest + 8.3334519073e-3F;
  series = series * rest + 4.1665795894e-2F;
  series = series * rest + 1.6666665459e-1F;
  series = series * rest + 5.0000001201e-1F;
  series = series * rest * rest + rest + 1.0F;
  const auto exponent = (std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kRounder) + 127) << 23;
  return series * std::bit_cast<float>(exponent);
}

// Computes 1 / (1 + e^-x).
[[gnu::always_inline]] inline float fast_sigmoid(float x) {
  constexpr float kLowest = -80.0F;  // where the exponential of -x is still finite
  return 1.0F / (1.0F + fast_exp(-at_least(kLowest, x)));
}

// Computes tanh(x) as Cephes' tanhf does, with a polynomial for small x, where the general formula would subtract
// numbers near 1.
[[gnu::always_inline]] inline float fast_tanh(float x) {
  constexpr float kSmall = 0.625F, kLargest = 20.0F;  // beyond which tanh is 1
  const float size = std::bit_cast<float>(std::bit_cast<std::int32_t>(x) & 0x7FFFFFFF);
  const float square = x * x;
  float series = -5.70498872745e-3F;
  series = series * square + 2.06390887954e-2F;
  series = series * square - 5.37397155531e-2F;
  series = series * square + 1.33314422036e-1F;
  series = series * square - 3.33332819422e-1F;
  const float tanh_of_large = 1.0F - 2.0F / (1.0F + fast_exp(2.0F * choose(size > kLargest, kLargest, size)));
  return choose(size < kSmall, x + x * square * series, choose(x < 0.0F, -tanh_of_large, tanh_of_large));
}

[[gnu::always_inline]] inline float swish_sigmoid(float x, float a, float b) {
  return fast_sigmoid(x * (a + b * x * x));
}

// Computes the derivative of x swish_sigmoid(x).
[[gnu::always_inline]] inline float swish_derivative(float x, float share, float a, float b) {
  return share + x * share * (1.0F - share) * (a + 3.0F * b * x * x);
}

}  // namespace

LOCKSTEP_VECTORISED bool all_finite(const float* values, std::int64_t size) {
  constexpr std::int32_t kExponent = 0x7F800000;  // its bits are all set in NaN and infinity only
  std::int32_t largest = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    largest = std::max(largest, std::bit_cast<std::int32_t>(values[i]) & kExponent);
  }
  return largest != kExponent;
}

LOCKSTEP_VECTORISED float largest_of(const float* values, std::int64_t size) {
  float largest = -std::numeric_limits<float>::infinity();
  const auto join = [](Lanes& lanes, const Lanes& others) { lanes = others > lanes ? others : lanes; };
  Accumulators lots;
  lots.fill(largest - Lanes{});
  std::int64_t i = for_each_lanes(size, lots, [&](Lanes& lanes, std::int64_t first) {
    Lanes next;
    load(values + first, next);
    join(lanes, next);
  });
  for (; i < size; ++i) largest = std::max(largest, values[i]);
  for (const Lanes& lanes : lots) join(lots[0], lanes);
  for (std::int64_t lane = 0; lane < kLanes; ++lane) largest = std::max(largest, lots[0][lane]);
  return largest;
}

LOCKSTEP_VECTORISED float sum_of(const float* values, std::int64_t size) {
  Accumulators lots{};
  std::int64_t i = for_each_lanes(size, lots, [&](Lanes& lanes, std::int64_t first) {
    Lanes next;
    load(values + first, next);
    lanes += next;
  });
  float rest = 0;
  for (; i < size; ++i) rest += values[i];
  return rest + sum_of_all(lots);
}

LOCKSTEP_VECTORISED float sum_of_products(const float* values, const float* others, std::int64_t size) {
  Accumulators lots{};
  std::int64_t i = for_each_lanes(size, lots, [&](Lanes& lanes, std::int64_t first) {
    Lanes next, other;
    load(values + first, next);
    load(others + first, other);
    lanes += next * other;
  });
  float rest = 0;
  for (; i < size; ++i) rest += values[i] * others[i];
  return rest + sum_of_all(lots);
}

LOCKSTEP_VECTORISED void exponentiate(float* values, std::int64_t size, float less) {
  for (std::int64_t i = 0; i < size; ++i) values[i] = fast_exp(values[i] - less);
}

LOCKSTEP_VECTORISED void scale(float* values, std::int64_t size, float factor, float less) {
  for (std::int64_t i = 0; i < size; ++i) values[i] = values[i] * factor - less;
}

LOCKSTEP_VECTORISED void shift_and_multiply(float* values, const float* factors, std::int64_t size, float less) {
  for (std::int64_t i = 0; i < size; ++i) values[i] = factors[i] * (values[i] - less);
}

LOCKSTEP_VECTORISED void add_to(float* values, const float* others, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) values[i] += others[i];
}

LOCKSTEP_VECTORISED void soft_cap_with_derivative(float* values, float* slopes, std::int64_t size, float cap) {
  for (std::int64_t i = 0; i < size; ++i) {
    const float share = fast_tanh(values[i] / cap);
    values[i] = cap * share;
    slopes[i] = 1.0F - share * share;
  }
}

LOCKSTEP_VECTORISED void swish(const float* x, float* y, std::int64_t size, float a, float b) {
  for (std::int64_t i = 0; i < size; ++i) y[i] = x[i] * swish_sigmoid(x[i], a, b);
}

LOCKSTEP_VECTORISED void swish_gate(const float* x, const float* up, float* y, std::int64_t size, float a, float b) {
  for (std::int64_t i = 0; i < size; ++i) y[i] = x[i] * swish_sigmoid(x[i], a, b) * up[i];
}

LOCKSTEP_VECTORISED void swish_gradient(const float* x, const float* grad_output, float* grad_x, std::int64_t size,
                                        float a, float b) {
  for (std::int64_t i = 0; i < size; ++i)
    grad_x[i] = grad_output[i] * swish_derivative(x[i], swish_sigmoid(x[i], a, b), a, b);
}

LOCKSTEP_VECTORISED void swish_gate_gradient(const float* x, const float* up, const float* grad_output, float* grad_x,
                                             float* grad_up, std::int64_t size, float a, float b) {
  for (std::int64_t i = 0; i < size; ++i) {
    const float share = swish_sigmoid(x[i], a, b);
    grad_x[i] = grad_output[i] * up[i] * swish_derivative(x[i], share, a, b);
    grad_up[i] = grad_output[i] * (x[i] * share);
  }
}

LOCKSTEP_VECTORISED void widen(const c10::BFloat16* from, float* to, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) to[i] = from[i];
}

LOCKSTEP_VECTORISED void narrow(const float* from, c10::BFloat16* to, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) to[i] = from[i];
}

}  // namespace lockstep::models
