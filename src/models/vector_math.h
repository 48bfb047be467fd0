#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

// Scalar code that the compiler makes eight or sixteen at a time, where the loop around it is in a function of
// target_clones.
namespace lockstep {

/// e^x within 2 units in the last place; 0 for what is below the smallest normal number, x <= 88. (Cephes' expf: 2^n
/// times a polynomial of the rest.)
[[gnu::always_inline]] inline float fast_exp(float x) {
  constexpr float kLog2E = 1.44269504F, kLn2High = 0.693359375F, kLn2Low = -2.12194440e-4F;
  constexpr float kRounder = 12582912.0F;  // 1.5 x 2^23: what is added to it is rounded to a whole number
  const float clamped = x < -87.0F ? -87.0F : x;
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
  const float value = series * std::bit_cast<float>(exponent);
  return x < -87.0F ? 0.0F : value;
}

}  // namespace lockstep
