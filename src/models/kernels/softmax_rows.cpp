#include "models/kernels/softmax_rows.h"

#include <algorithm>
#include <cmath>

#include "models/kernels/vector_math.h"

namespace lockstep::models {
namespace {

// Numbers that are summed in single precision; the sums of blocks are added in double precision. A block fits in the
// first-level cache.
constexpr std::int64_t kBlock = 1024;

double precise_sum_of(const float* values, std::int64_t size) {
  double sum = 0;
  for (std::int64_t i = 0; i < size; i += kBlock) {
    sum += static_cast<double>(sum_of(values + i, std::min(kBlock, size - i)));
  }
  return sum;
}

// Replaces each value with e^(value - maximum) and returns the sum of the results.
double exponentiate_all(float* values, std::int64_t size, float maximum) {
  double sum = 0;
  for (std::int64_t i = 0; i < size; i += kBlock) {
    const std::int64_t of_block = std::min(kBlock, size - i);
    exponentiate(values + i, of_block, maximum);
    sum += static_cast<double>(sum_of(values + i, of_block));
  }
  return sum;
}

}  // namespace

double cross_entropy_of_row(float* logits, std::int64_t vocabulary, std::int64_t label, double smoothing,
                            bool wants_gradient) {
  const float maximum = largest_of(logits, vocabulary);
  const auto count = static_cast<double>(vocabulary);
  const double mean = smoothing == 0 ? 0 : precise_sum_of(logits, vocabulary) / count;
  const double of_label = static_cast<double>(logits[label]);
  const double sum = exponentiate_all(logits, vocabulary, maximum);
  if (wants_gradient) {
    scale(logits, vocabulary, static_cast<float>(1 / sum), static_cast<float>(smoothing / count));
    logits[label] -= static_cast<float>(1 - smoothing);
  }
  const double expected = (1 - smoothing) * of_label + smoothing * mean;
  return static_cast<double>(maximum) - expected + std::log(sum);
}

}  // namespace lockstep::models
