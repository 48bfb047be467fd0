#include "models/kernels/keyed_hash.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <random>
#include <vector>

namespace lockstep::models {
namespace {

TEST(KeyedHash, TensorsHaveTheNumbersOfTheHost) {
  std::mt19937_64 random(5);
  std::vector<std::int64_t> keys;
  for (int i = 0; i < 50; ++i) keys.push_back(static_cast<std::int64_t>(random()));
  const at::Tensor mixed = mix(torch::tensor(keys, torch::kLong));
  const at::Tensor hashes = hash_of_columns(torch::tensor(keys, torch::kLong).view({5, 10}), 70).flatten(0, 1);
  for (std::int64_t i = 0; i < 50; ++i) {
    const auto key = static_cast<std::uint64_t>(keys[static_cast<std::size_t>(i)]);
    EXPECT_EQ(static_cast<std::uint64_t>(mixed[i].item<std::int64_t>()), mix(key));
    for (std::uint32_t column = 0; column < 70; ++column) {
      EXPECT_EQ(static_cast<std::uint32_t>(hashes[i][column].item<std::int32_t>()), hash_of_column(key, column));
    }
  }
}

TEST(KeyedHash, KnowsSplitmix64) {
  EXPECT_EQ(mix(std::uint64_t{0}), 0xE220A8397B1DCDAFU);  // first output of the generator with state 0
}

}  // namespace
}  // namespace lockstep::models
