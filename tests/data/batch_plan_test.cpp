#include "lockstep/data/batch_plan.h"

#include <gmock/gmock.h>

#include <map>
#include <numeric>
#include <random>

#include "lockstep/core/error.h"
#include "lockstep/data/shuffle.h"
#include "lockstep/data/split.h"

namespace lockstep {
namespace {

std::shared_ptr<InMemoryTokenizedDataset> random_dataset(std::size_t size, bool has_encoder, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::vector<Example> examples(size);
  for (Example& example : examples) {
    example.input.resize(generator() % 60 + 1);
    example.target.resize(generator() % 20 + 1);
  }
  return std::make_shared<InMemoryTokenizedDataset>(std::move(examples), has_encoder, "digest");
}

std::vector<std::uint64_t> all_examples(const StepPlan& plan) {
  std::vector<std::uint64_t> examples;
  for (const auto& rank : plan.ranks) {
    for (const MicroBatch& micro_batch : rank) {
      examples.insert(examples.end(), micro_batch.examples.begin(), micro_batch.examples.end());
    }
  }
  std::sort(examples.begin(), examples.end());
  return examples;
}

TEST(BatchPlan, EveryExampleRunsOnceForAnyRanksAndRows) {
  for (const bool has_encoder : {true, false}) {
    const auto dataset = random_dataset(200, has_encoder, 1);
    const auto order = shuffled_indices(200, 5, 0);
    for (const std::size_t batch : {1U, 7U, 64U, 200U}) {
      const auto global_batch = std::span(order).first(batch);
      std::vector<std::uint64_t> expected(global_batch.begin(), global_batch.end());
      std::sort(expected.begin(), expected.end());
      for (const int ranks : {1, 2, 3, 8}) {
        for (const std::uint64_t rows : {1U, 5U, 300U}) {
          const StepPlan plan = plan_step(*dataset, global_batch, rows, ranks);
          EXPECT_EQ(plan.ranks.size(), static_cast<std::size_t>(ranks));
          EXPECT_EQ(all_examples(plan), expected)
              << batch << " rows, " << ranks << " ranks, " << rows << " a micro-batch";
        }
      }
    }
  }
}

TEST(BatchPlan, CountsTokensWhateverTheCut) {
  const auto dataset = random_dataset(100, true, 2);
  const auto order = shuffled_indices(100, 1, 0);
  std::uint64_t tokens = 0, labels = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    tokens += dataset->input_length(i) + dataset->target_length(i);
    labels += dataset->target_length(i);
  }
  for (const int ranks : {1, 4}) {
    const StepPlan plan = plan_step(*dataset, order, 9, ranks);
    EXPECT_EQ(plan.tokens, tokens);
    EXPECT_EQ(plan.label_tokens, labels);
    EXPECT_GE(plan.padded_tokens, tokens);
  }
}

TEST(BatchPlan, SortingKeepsPaddingLow) {
  const auto dataset = random_dataset(512, false, 3);
  const auto order = shuffled_indices(512, 1, 0);
  const StepPlan plan = plan_step(*dataset, order, 32, 1);
  EXPECT_LT(static_cast<double>(plan.padded_tokens), 1.10 * static_cast<double>(plan.tokens));
}

TEST(BatchPlan, NoMicroBatchExceedsTheLongestRowsTogether) {
  const auto dataset = random_dataset(128, false, 4);
  const auto order = shuffled_indices(128, 1, 0);
  std::vector<std::uint64_t> lengths;
  for (std::uint64_t i = 0; i < 128; ++i) lengths.push_back(dataset->input_length(i) + dataset->target_length(i));
  const std::uint64_t longest = *std::max_element(lengths.begin(), lengths.end());
  for (const auto& rank : plan_step(*dataset, order, 16, 2).ranks) {
    for (const MicroBatch& micro_batch : rank) EXPECT_LE(micro_batch.padded_tokens, 16 * longest);
  }
}

TEST(BatchPlan, RanksGetAboutEqualWork) {
  const auto dataset = random_dataset(256, false, 5);
  const auto order = shuffled_indices(256, 1, 0);
  const StepPlan plan = plan_step(*dataset, order, 64, 4);
  std::vector<std::uint64_t> load;
  for (const auto& rank : plan.ranks) {
    load.push_back(std::accumulate(rank.begin(), rank.end(), std::uint64_t{0},
                                   [](std::uint64_t sum, const MicroBatch& m) { return sum + m.padded_tokens; }));
  }
  EXPECT_LT(static_cast<double>(*std::max_element(load.begin(), load.end())),
            1.1 * static_cast<double>(plan.padded_tokens) / 4);
}

TEST(BatchCost, IsThatOfPaddedRows) {
  // 3 rows of 5 and 2 tokens: 3 x (5 x 2 + 2 x 3 + 25 x 4 + 4 x 5 + 10 x 6), and 7 labels of 8.
  const BatchCost cost{
      .input_token = 2, .target_token = 3, .input_pair = 4, .target_pair = 5, .cross_pair = 6, .label = 8};
  EXPECT_EQ(cost.of(3, 5, 2, 7), 3 * (10 + 6 + 100 + 20 + 60) + 56);
  EXPECT_EQ(BatchCost{}.of(3, 5, 2, 7), 21);
}

// By tokens alone, a hundred short rows would equal the long one, and its rank would get as many of them beside it.
TEST(BatchPlan, AttentionsSquareCounts) {
  std::vector<Example> examples(301);
  for (Example& example : examples) example.input.resize(10);
  examples[50].input.resize(1000);
  const InMemoryTokenizedDataset dataset(std::move(examples), false, "digest");
  const auto order = shuffled_indices(301, 1, 0);
  const StepPlan plan = plan_step(dataset, order, 100, 2, {.input_token = 1, .input_pair = 1});
  EXPECT_EQ(all_examples(plan).size(), 301U);
  for (const auto& rank : plan.ranks) {
    for (const MicroBatch& micro_batch : rank) {
      const bool is_long = std::ranges::count(micro_batch.examples, 50U) > 0;
      EXPECT_TRUE(!is_long || rank.size() == 1);
      const double rows = static_cast<double>(micro_batch.examples.size());
      EXPECT_EQ(micro_batch.cost, is_long ? 1'001'000 : rows * (10 + 100));
      EXPECT_TRUE(!is_long || rows == 1);
    }
  }
}

TEST(BatchPlan, RanksGetAboutEqualCost) {
  const BatchCost cost{
      .input_token = 100, .target_token = 150, .input_pair = 3, .target_pair = 2, .cross_pair = 2, .label = 40};
  for (const bool has_encoder : {true, false}) {
    const auto dataset = random_dataset(512, has_encoder, 8);
    const auto order = shuffled_indices(512, 1, 0);
    const StepPlan plan = plan_step(*dataset, order, 32, 4, cost);
    double most = 0, all = 0;
    for (const auto& rank : plan.ranks) {
      double of_rank = 0;
      for (const MicroBatch& micro_batch : rank) of_rank += micro_batch.cost;
      most = std::max(most, of_rank);
      all += of_rank;
    }
    EXPECT_LT(most, 1.05 * all / 4);
  }
}

// Short rows cost little beside long ones, and yet memory bounds how many of their tokens go together.
// Of the lengths 10, 6, 6, 6, the first takes as many pairs as the others together, but fewer tokens.
TEST(BatchPlan, MicroBatchesAreDealtByCost) {
  std::vector<Example> examples(4);
  for (std::size_t i = 0; i < examples.size(); ++i) examples[i] = {std::vector<TokenId>(i == 0 ? 9 : 5), {0}};
  const InMemoryTokenizedDataset dataset(std::move(examples), false, "digest");
  const std::vector<std::uint64_t> all = {0, 1, 2, 3};
  const auto micro_batches = [&](const BatchCost& cost) {
    std::vector<std::size_t> counts;
    for (const auto& rank : plan_step(dataset, all, 1, 2, cost).ranks) counts.push_back(rank.size());
    return counts;
  };
  EXPECT_THAT(micro_batches({.input_token = 0, .input_pair = 1}), testing::ElementsAre(1, 3));
  EXPECT_THAT(micro_batches({.input_token = 1}), testing::ElementsAre(2, 2));
}

TEST(BatchPlan, CheapTokensDoNotMakeAMicroBatchLarger) {
  const auto dataset = random_dataset(128, false, 9);
  const auto order = shuffled_indices(128, 1, 0);
  std::uint64_t longest = 0;
  for (std::uint64_t i = 0; i < 128; ++i) {
    longest = std::max<std::uint64_t>(longest, dataset->input_length(i) + dataset->target_length(i));
  }
  const StepPlan plan = plan_step(*dataset, order, 16, 2, {.input_token = 1, .input_pair = 1000});
  EXPECT_EQ(all_examples(plan).size(), 128U);
  std::uint64_t micro_batches = 0;
  for (const auto& rank : plan.ranks) {
    micro_batches += rank.size();
    for (const MicroBatch& micro_batch : rank) EXPECT_LE(micro_batch.padded_tokens, 16 * longest);
  }
  EXPECT_LE(micro_batches, 8U);
}

TEST(BatchPlan, MoreRanksThanRowsLeavesSomeWithoutWork) {
  const auto dataset = random_dataset(3, true, 6);
  const std::vector<std::uint64_t> rows = {0, 1, 2};
  const StepPlan plan = plan_step(*dataset, rows, 100, 8);
  EXPECT_EQ(all_examples(plan), rows);
}

TEST(BatchPlan, AFirstTokenThatNothingPrecedesIsNoLabel) {
  const InMemoryTokenizedDataset decoder_only({{{}, {1, 2, 3}}, {{9}, {1, 2, 3}}}, false, "digest");
  EXPECT_EQ(label_tokens(decoder_only, 0), 2U);
  EXPECT_EQ(label_tokens(decoder_only, 1), 3U);
  const InMemoryTokenizedDataset encoder_decoder({{{}, {1, 2, 3}}}, true, "digest");
  EXPECT_EQ(label_tokens(encoder_decoder, 0), 3U);
}

TEST(BatchPlan, EvaluationCoversEveryExampleOnce) {
  const auto dataset = random_dataset(50, true, 7);
  std::vector<int> seen(50, 0);
  for (const MicroBatch& batch : plan_evaluation(*dataset, 8)) {
    EXPECT_LE(batch.examples.size(), 8U);
    for (const std::uint64_t example : batch.examples) ++seen[example];
  }
  EXPECT_THAT(seen, testing::Each(1));
}

TEST(Shuffle, IsAPermutationThatChangesWithSeedAndEpoch) {
  const auto order = shuffled_indices(1000, 7, 3);
  EXPECT_EQ(order, shuffled_indices(1000, 7, 3));
  EXPECT_NE(order, shuffled_indices(1000, 7, 4));
  EXPECT_NE(order, shuffled_indices(1000, 8, 3));
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (std::uint64_t i = 0; i < 1000; ++i) ASSERT_EQ(sorted[i], i);
}

// Each of the 24 orders of four items must come up equally often: chi-square, 23 degrees of freedom, 0.1 % bound 49.7.
TEST(Shuffle, AllOrdersAreEquallyLikely) {
  std::map<std::vector<std::uint64_t>, int> counts;
  constexpr int kDraws = 24000;
  for (int epoch = 0; epoch < kDraws; ++epoch) ++counts[shuffled_indices(4, 1, static_cast<std::uint64_t>(epoch))];
  ASSERT_EQ(counts.size(), 24U);
  double chi_square = 0;
  for (const auto& [order, count] : counts) chi_square += (count - 1000.0) * (count - 1000.0) / 1000.0;
  EXPECT_LT(chi_square, 49.7);
}

TEST(Split, SetsTheShareApartWithoutOverlap) {
  std::vector<Example> examples(21);
  for (TokenId i = 0; i < 21; ++i) examples[i] = {{i}, {i}};
  const auto dataset = std::make_shared<InMemoryTokenizedDataset>(std::move(examples), true, "digest");
  const auto [training, validation] = split_for_validation(dataset, 0.15, 42);
  EXPECT_EQ(validation->size(), 4U);  // ceil(3.15)
  EXPECT_EQ(training->size(), 17U);
  std::vector<int> seen(21, 0);
  for (const auto& part : {training, validation}) {
    for (std::uint64_t i = 0; i < part->size(); ++i) ++seen[part->read(i).input.front()];
  }
  EXPECT_THAT(seen, testing::Each(1));
  EXPECT_EQ(split_for_validation(dataset, 0.15, 42).validation->read(0), validation->read(0));
}

TEST(Split, RefusesToLeaveAPartEmpty) {
  EXPECT_THROW(split_for_validation(random_dataset(1, true, 1), 0.15, 1), InputError);
  EXPECT_THROW(split_for_validation(random_dataset(10, true, 1), 0.0, 1), InputError);
}

}  // namespace
}  // namespace lockstep
