#include "lockstep/batching/step_inputs.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "lockstep/core/error.h"

namespace lockstep::batching {
namespace {

constexpr std::uint64_t kRows = 40;

// Rows of growing length, that counts what is read, and may be slow or damaged.
class WatchedRows final : public TokenizedDataset {
 public:
  std::uint64_t size() const override { return kRows; }
  bool has_encoder() const override { return false; }
  std::uint32_t input_length(std::uint64_t index) const override { return static_cast<std::uint32_t>(index + 1); }
  std::uint32_t target_length(std::uint64_t) const override { return 2; }
  data::Example read(std::uint64_t index) const override {
    std::this_thread::sleep_for(delay);
    ++reads;
    if (index == damaged) throw InputError("row " + std::to_string(index) + " is damaged");
    return {std::vector<TokenId>(index + 1, 3), {4, 5}};
  }
  const std::string& tokenizer_digest() const override { return digest_; }
  std::string content_digest() const override { return digest_; }

  std::chrono::milliseconds delay{0};
  std::uint64_t damaged = kRows;
  mutable std::atomic<std::uint64_t> reads = 0;

 private:
  std::string digest_ = "digest";
};

InputSource source_of(const std::shared_ptr<WatchedRows>& rows, int rank = 0, int world_size = 1) {
  return {.rows = rows,
          .batches = GlobalBatches(kRows, 4, 7),
          .limits = {.rows = 4, .tokens = 60},
          .cost = {},
          .rank = rank,
          .world_size = world_size};
}

TEST(StepInputs, GivesTheBatchesOfTheRankInTheirOrderFromAnyStep) {
  const auto rows = std::make_shared<WatchedRows>();
  for (const int rank : {0, 1}) {
    for (const std::uint64_t first : {0U, 13U}) {
      InputSource source = source_of(rows, rank, 2);
      GlobalBatches batches = source.batches;
      const MicroBatchLimits limits = source.limits;
      StepInputs inputs(std::move(source), first, 25);
      for (std::uint64_t step = first; step < 25; ++step) {
        const StepPlan expected = plan_step(*rows, batches.at(step), limits, 2);
        const StepPlan found = inputs.next_plan();
        EXPECT_EQ(found.tokens, expected.tokens);
        for (const MicroBatch& micro_batch : expected.ranks[static_cast<std::size_t>(rank)]) {
          const models::Batch batch = inputs.next_batch();
          EXPECT_EQ(batch.example_ids, micro_batch.examples) << "step " << step << ", rank " << rank;
          EXPECT_TRUE(batch.labels.equal(models::read_batch(*rows, micro_batch.examples, 0, 0).labels));
        }
      }
    }
  }
}

TEST(StepInputs, AnErrorIsThrownWhereTheRowIsNeeded) {
  const auto rows = std::make_shared<WatchedRows>();
  InputSource source = source_of(rows);
  rows->damaged = source.batches.at(3)[1];
  StepInputs inputs(source, 0, 10);
  const auto run_step = [&] {
    for (std::size_t left = inputs.next_plan().ranks[0].size(); left > 0; --left) inputs.next_batch();
  };
  for (int step = 0; step < 3; ++step) EXPECT_NO_THROW(run_step());
  EXPECT_THAT(run_step, testing::ThrowsMessage<InputError>(testing::HasSubstr("is damaged")));
}

TEST(StepInputs, ReadsAheadButNotFar) {
  const auto rows = std::make_shared<WatchedRows>();
  StepInputs inputs(source_of(rows), 0, 1000);
  const auto settled = [&] {
    std::uint64_t before = 0;
    do {
      before = rows->reads;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    } while (rows->reads != before);
    return before;
  };
  EXPECT_GE(settled(), 4U);
  EXPECT_LE(settled(), 9 * 4U);
}

TEST(StepInputs, ARowsWaitIsCountedWhereNothingIsComputedMeanwhile) {
  const auto rows = std::make_shared<WatchedRows>();
  rows->delay = std::chrono::milliseconds(20);
  StepInputs inputs(source_of(rows), 0, 1000);
  inputs.next_plan();
  inputs.next_batch();
  EXPECT_GT(inputs.take_waited_s(), 0.02);
  EXPECT_EQ(inputs.take_waited_s(), 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  inputs.next_batch();
  EXPECT_LT(inputs.take_waited_s(), 0.02);
}

}  // namespace
}  // namespace lockstep::batching
