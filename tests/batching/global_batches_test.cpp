#include "lockstep/batching/global_batches.h"

#include <gmock/gmock.h>
#include <vector>

#include "lockstep/data/shuffle.h"

namespace lockstep::batching {
namespace {

std::vector<std::uint64_t> copy(std::span<const std::uint64_t> rows) { return {rows.begin(), rows.end()}; }

TEST(GlobalBatches, AreSlicesOfTheEpochsPermutationsFromWhateverStep) {
  constexpr std::uint64_t kRows = 11, kBatch = 4, kSeed = 7;
  GlobalBatches in_order(kRows, kBatch, kSeed);
  EXPECT_EQ(in_order.steps_per_epoch(), 3U);
  for (std::uint64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<std::uint64_t> all;
    for (std::uint64_t i = 0; i < 3; ++i) {
      const std::uint64_t step = 3 * epoch + i;
      const auto batch = copy(in_order.at(step));
      EXPECT_EQ(batch, copy(GlobalBatches(kRows, kBatch, kSeed).at(step)));  // without earlier steps
      all.insert(all.end(), batch.begin(), batch.end());
    }
    EXPECT_EQ(all, data::shuffled_indices(kRows, kSeed, epoch));
  }
  EXPECT_EQ(copy(in_order.at(1)), copy(GlobalBatches(kRows, kBatch, kSeed).at(1)));  // back to an earlier step
}

TEST(GlobalBatches, ASetSmallerThanABatchIsAStep) {
  GlobalBatches batches(3, 100, 1);
  EXPECT_EQ(batches.steps_per_epoch(), 1U);
  EXPECT_EQ(batches.at(5).size(), 3U);
}

}  // namespace
}  // namespace lockstep::batching
