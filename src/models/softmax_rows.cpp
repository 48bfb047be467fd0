#include "models/softmax_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "models/vector_math.h"

#define LOCKSTEP_VECTORISED __attribute__((target_clones("avx512f", "avx2", "default")))

namespace lockstep {
namespace {

// Sums and maxima of as many numbers are taken side by side, which no compiler may do by itself.
constexpr std::int64_t kLanes = 16;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

// Numbers whose sum is single precision; sums of them are double. They stay in the nearest cache.
constexpr std::int64_t kBlock = 64 * kLanes;

LOCKSTEP_VECTORISED float largest(const float* values, std::int64_t size) {
  float largest = -std::numeric_limits<float>::infinity();
  Lanes lanes = largest - Lanes{};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    Lanes next;
    std::memcpy(&next, values + i, sizeof(next));
    lanes = next > lanes ? next : lanes;
  }
  for (; i < size; ++i) largest = std::max(largest, values[i]);
  for (std::int64_t lane = 0; lane < kLanes; ++lane) largest = std::max(largest, lanes[lane]);
  return largest;
}

LOCKSTEP_VECTORISED float sum_of_block(const float* values, std::int64_t size) {
  Lanes lanes{};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    Lanes next;
    std::memcpy(&next, values + i, sizeof(next));
    lanes += next;
  }
  float sum = 0;
  for (; i < size; ++i) sum += values[i];
  for (std::int64_t lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

LOCKSTEP_VECTORISED void exponentiate_block(float* values, std::int64_t size, float maximum) {
  for (std::int64_t i = 0; i < size; ++i) values[i] = fast_exp(values[i] - maximum);
}

LOCKSTEP_VECTORISED void scale(float* values, std::int64_t size, float factor, float less) {
  for (std::int64_t i = 0; i < size; ++i) values[i] = values[i] * factor - less;
}

double sum_of(const float* values, std::int64_t size) {
  double sum = 0;
  for (std::int64_t i = 0; i < size; i += kBlock) {
    sum += static_cast<double>(sum_of_block(values + i, std::min(kBlock, size - i)));
  }
  return sum;
}

// Each becomes e^(itself - maximum); their sum.
double exponentiate(float* values, std::int64_t size, float maximum) {
  double sum = 0;
  for (std::int64_t i = 0; i < size; i += kBlock) {
    const std::int64_t of_block = std::min(kBlock, size - i);
    exponentiate_block(values + i, of_block, maximum);
    sum += static_cast<double>(sum_of_block(values + i, of_block));
  }
  return sum;
}

}  // namespace

LOCKSTEP_VECTORISED void widen(const std::uint16_t* from, float* to, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) to[i] = std::bit_cast<float>(static_cast<std::uint32_t>(from[i]) << 16);
}

LOCKSTEP_VECTORISED void narrow(const float* from, std::uint16_t* to, std::int64_t size) {
  constexpr std::uint16_t kNaN = 0x7FC0;
  for (std::int64_t i = 0; i < size; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(from[i]);
    const std::uint32_t rounded = bits + 0x7FFFU + ((bits >> 16) & 1U);
    to[i] = from[i] == from[i] ? static_cast<std::uint16_t>(rounded >> 16) : kNaN;
  }
}

double cross_entropy_of_row(float* logits, std::int64_t vocabulary, std::int64_t label, double smoothing,
                            bool wants_gradient) {
  const float maximum = largest(logits, vocabulary);
  const auto count = static_cast<double>(vocabulary);
  const double mean = smoothing == 0 ? 0 : sum_of(logits, vocabulary) / count;
  const double of_label = static_cast<double>(logits[label]);
  const double sum = exponentiate(logits, vocabulary, maximum);
  if (wants_gradient) {
    scale(logits, vocabulary, static_cast<float>(1 / sum), static_cast<float>(smoothing / count));
    logits[label] -= static_cast<float>(1 - smoothing);
  }
  const double expected = (1 - smoothing) * of_label + smoothing * mean;
  return static_cast<double>(maximum) - expected + std::log(sum);
}

}  // namespace lockstep
