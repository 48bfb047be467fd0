#include "train/machine_peak.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <chrono>

namespace lockstep::train {
namespace {

TEST(MachinePeak, IsFoundAtOnceAndIsThatOfProducts) {
  const auto start = std::chrono::steady_clock::now();
  const double found = measure_peak_flops(at::kCPU, at::kFloat);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
  EXPECT_GT(found, 1e8);  // a slow core, without vectors
  EXPECT_LT(found, 1e15);
}

TEST(MachinePeak, OfOneRankIsItsOwn) {
  const auto communicator = make_communicator();
  EXPECT_GT(measure_peak_flops_of_ranks(at::kCPU, at::kFloat, *communicator), 1e8);
}

}  // namespace
}  // namespace lockstep::train
