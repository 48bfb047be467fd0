#include "lockstep/batching/step_inputs.h"

#include <gmock/gmock.h>

#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <thread>

#include "lockstep/core/error.h"

namespace lockstep::batching {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kRows = 40;
constexpr std::chrono::seconds kDeadline{60};  // within which a busy machine does what takes it a moment

// Rows of growing length. They count what is read of them; they can be damaged, and keep readers waiting.
class WatchedRows final : public TokenizedDataset {
 public:
  std::uint64_t size() const override { return kRows; }
  bool has_encoder() const override { return false; }
  std::uint32_t input_length(std::uint64_t index) const override { return static_cast<std::uint32_t>(index + 1); }
  std::uint32_t target_length(std::uint64_t) const override { return 2; }
  data::Example read(std::uint64_t index) const override {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return reads_ < allowed_; });
      ++reads_;
    }
    changed_.notify_all();
    if (index == damaged) throw InputError("row " + std::to_string(index) + " is damaged");
    return {std::vector<TokenId>(index + 1, 3), {4, 5}};
  }
  const std::string& tokenizer_digest() const override { return digest_; }
  std::string content_digest() const override { return digest_; }

  // Reading waits once `count` rows have been read.
  void allow(std::uint64_t count) {
    {
      const std::lock_guard lock(mutex_);
      allowed_ = count;
    }
    changed_.notify_all();
  }
  // False if `count` rows have not been read within `timeout`.
  bool wait_for_reads(std::uint64_t count, std::chrono::milliseconds timeout) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] { return reads_ >= count; });
  }

  std::uint64_t damaged = kRows;

 private:
  std::string digest_ = "digest";
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable std::uint64_t reads_ = 0;
  std::uint64_t allowed_ = std::numeric_limits<std::uint64_t>::max();
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
  EXPECT_TRUE(rows->wait_for_reads(4, kDeadline));
  // Eight items wait at most, and a ninth is being made. The time only decides how surely a thread that reads on is
  // seen.
  EXPECT_FALSE(rows->wait_for_reads(9 * 4 + 1, milliseconds(200)));
}

// Measures time: a pause of 50 ms at the wrong moment fails it, and launch/test.sh tries it twice.
TEST(StepInputsTiming, ARowsWaitIsCountedWhereNothingIsComputedMeanwhile) {
  const auto rows = std::make_shared<WatchedRows>();
  rows->allow(0);
  StepInputs inputs(source_of(rows), 0, 1000);
  const auto start = std::chrono::steady_clock::now();
  std::jthread opener([&] {
    std::this_thread::sleep_for(milliseconds(100));
    rows->allow(std::numeric_limits<std::uint64_t>::max());
  });
  inputs.next_plan();
  inputs.next_batch();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const double waited_s = inputs.take_wait_s();
  EXPECT_GT(waited_s, 0.05);
  EXPECT_LE(waited_s, elapsed.count());
  EXPECT_EQ(inputs.take_wait_s(), 0) << "what was taken is not counted again";
  // Batches are made one after the other: the second is there once a row of the fourth has been read.
  ASSERT_TRUE(rows->wait_for_reads(3 * 4 + 1, kDeadline));
  inputs.next_batch();
  EXPECT_LT(inputs.take_wait_s(), 0.05);
}

}  // namespace
}  // namespace lockstep::batching
