#include "train/machine_peak.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <chrono>
#include <limits>

namespace lockstep::train {
namespace {

using Clock = std::chrono::steady_clock;

// Operations a second of the fastest of ten products of matrices.
double flops_of_products(std::int64_t rows, std::int64_t inner, std::int64_t columns) {
  const at::Tensor a = at::rand({rows, inner}), b = at::rand({inner, columns});
  at::mm(a, b);
  double shortest_s = std::numeric_limits<double>::max();
  for (int i = 0; i < 10; ++i) {
    const auto start = Clock::now();
    at::mm(a, b);
    shortest_s = std::min(shortest_s, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return 2 * static_cast<double>(rows * inner * columns) / shortest_s;
}

// These measure time: neighbours on the same cores can slow down one of two measurements, and launch/test.sh tries
// twice.
TEST(MachinePeakTiming, IsThatOfProductsOfAnotherSize) {
  const double expected = flops_of_products(768, 1536, 896);
  const double found = measure_peak_flops(at::kCPU, at::kFloat);
  EXPECT_GT(found, 0.5 * expected);
  EXPECT_LT(found, 2 * expected);
}

TEST(MachinePeakTiming, IsFoundAtOnce) {
  const auto start = Clock::now();
  measure_peak_flops(at::kCPU, at::kFloat);
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(3));
}

TEST(MachinePeakTiming, OfOneRankIsItsOwn) {
  const double expected = measure_peak_flops(at::kCPU, at::kFloat);
  const double found = measure_peak_flops_of_ranks(at::kCPU, at::kFloat, *make_communicator());
  EXPECT_GT(found, 0.5 * expected);
  EXPECT_LT(found, 2 * expected);
}

}  // namespace
}  // namespace lockstep::train
