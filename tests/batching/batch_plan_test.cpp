#include "lockstep/batching/batch_plan.h"

#include <gmock/gmock.h>

#include <functional>
#include <map>
#include <numeric>
#include <random>

#include "lockstep/core/error.h"
#include "lockstep/data/shuffle.h"
#include "lockstep/data/split.h"

namespace lockstep::batching {
namespace {

std::shared_ptr<data::InMemoryTokenizedDataset> random_dataset(std::size_t size, bool has_encoder, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::vector<data::Example> examples(size);
  for (data::Example& example : examples) {
    example.input.resize(generator() % 60 + 1);
    example.target.resize(generator() % 20 + 1);
  }
  return std::make_shared<data::InMemoryTokenizedDataset>(std::move(examples), has_encoder, "digest");
}

constexpr std::uint64_t kAnyNumber = 1'000'000;

// Limits by rows only, or by tokens only.
MicroBatchLimits of_rows(std::uint64_t rows) { return {.rows = rows, .tokens = kAnyNumber}; }
MicroBatchLimits of_tokens(std::uint64_t tokens) { return {.rows = kAnyNumber, .tokens = tokens}; }

std::vector<MicroBatch> micro_batches_of(const StepPlan& plan) {
  std::vector<MicroBatch> all;
  for (const auto& rank : plan.ranks) all.insert(all.end(), rank.begin(), rank.end());
  return all;
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

TEST(BatchPlan, EveryExampleRunsOnceForAnyRanksAndLimits) {
  for (const bool has_encoder : {true, false}) {
    const auto dataset = random_dataset(200, has_encoder, 1);
    const auto order = data::shuffled_indices(200, 5, 0);
    for (const std::size_t batch : {1U, 7U, 64U, 200U}) {
      const auto global_batch = std::span(order).first(batch);
      std::vector<std::uint64_t> expected(global_batch.begin(), global_batch.end());
      std::sort(expected.begin(), expected.end());
      for (const int ranks : {1, 2, 3, 8}) {
        for (const MicroBatchLimits& limits :
             {of_rows(1), of_rows(5), of_rows(300), of_tokens(1), of_tokens(100), of_tokens(3000)}) {
          for (const bool pads : {true, false}) {
            const StepPlan plan = plan_step(*dataset, global_batch, limits, ranks,
                                            {.input_pair = 1, .target_pair = 1, .pass = 9, .pads_attention = pads});
            EXPECT_EQ(plan.ranks.size(), static_cast<std::size_t>(ranks));
            EXPECT_EQ(all_examples(plan), expected) << batch << " rows, " << ranks << " ranks, " << limits.rows
                                                    << " rows and " << limits.tokens << " tokens a micro-batch";
          }
        }
      }
    }
  }
}

TEST(BatchPlan, OfADecoderOnlyRowTheLastTokenIsNotAskedFor) {
  const auto dataset = random_dataset(100, false, 2);
  const auto order = data::shuffled_indices(100, 1, 0);
  double useful_cost = 0, cost = 0, padded = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    const double tokens = dataset->input_length(i) + dataset->target_length(i), labels = dataset->target_length(i);
    useful_cost += 2 * (tokens - 1) + 3 * (tokens - 1) * (tokens - 1) / 2 + 4 * labels;
    cost += 2 * (tokens - 1) + 3 * (tokens - 1) * (tokens - 1) + 4 * labels;
    padded += 2 * tokens + 3 * tokens * tokens + 4 * labels;
  }
  for (const bool pads : {false, true}) {
    const BatchCost costs{.input_token = 2, .input_pair = 3, .label = 4, .pads_attention = pads};
    const StepPlan plan = plan_step(*dataset, order, of_tokens(1), 1, costs);  // one row per micro-batch: no padding
    double found = 0;
    for (const MicroBatch& micro_batch : micro_batches_of(plan)) found += micro_batch.cost;
    EXPECT_DOUBLE_EQ(found, pads ? padded : cost);
    EXPECT_DOUBLE_EQ(plan.useful_cost, useful_cost);
  }
}

TEST(BatchPlan, CountsTokensWhateverTheCut) {
  const auto dataset = random_dataset(100, true, 2);
  const auto order = data::shuffled_indices(100, 1, 0);
  std::uint64_t tokens = 0, labels = 0;
  double pairs = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    tokens += dataset->input_length(i) + dataset->target_length(i);
    labels += dataset->target_length(i);
    const double input = dataset->input_length(i), target = dataset->target_length(i);
    pairs += target * target + 3 * input * target;  // causal attention sees half of the target's own pairs
  }
  for (const int ranks : {1, 4}) {
    const StepPlan plan =
        plan_step(*dataset, order, of_rows(9), ranks, {.target_pair = 2, .cross_pair = 3, .label = 4});
    EXPECT_EQ(plan.tokens, tokens);
    EXPECT_EQ(plan.label_tokens, labels);
    EXPECT_DOUBLE_EQ(plan.useful_cost, static_cast<double>(tokens + 4 * labels) + pairs);
    EXPECT_EQ(plan.padding, 0);
  }
}

// Returns the combined length of the `count` longest rows, or of all if there are fewer.
std::uint64_t tokens_of_longest(const TokenizedDataset& dataset, std::size_t count) {
  std::vector<std::uint64_t> lengths;
  for (std::uint64_t i = 0; i < dataset.size(); ++i)
    lengths.push_back(dataset.input_length(i) + dataset.target_length(i));
  std::ranges::sort(lengths, std::greater{});
  lengths.resize(std::min(count, lengths.size()));
  return std::accumulate(lengths.begin(), lengths.end(), std::uint64_t{0});
}

TEST(BatchPlan, NoMicroBatchExceedsTheLongestRowsTogether) {
  const auto dataset = random_dataset(128, false, 4);
  const auto order = data::shuffled_indices(128, 1, 0);
  for (const bool pads : {true, false}) {
    const BatchCost cost{.input_token = 1, .input_pair = 1000, .pass = 1, .pads_attention = pads};
    for (const MicroBatch& micro_batch : micro_batches_of(plan_step(*dataset, order, of_rows(16), 2, cost))) {
      EXPECT_LE(micro_batch.tokens, tokens_of_longest(*dataset, 16));
    }
  }
}

TEST(BatchPlan, NoMicroBatchOfSeveralRowsExceedsTheTokensAndTheyAreFew) {
  const auto dataset = random_dataset(300, true, 11);  // rows of at most 80 tokens
  const auto order = data::shuffled_indices(300, 1, 0);
  for (const std::uint64_t limit : {70U, 200U, 1000U, 100'000U}) {
    for (const int ranks : {1, 2, 7}) {
      for (const bool pads : {true, false}) {
        const StepPlan plan =
            plan_step(*dataset, order, of_tokens(limit), ranks, {.input_pair = 1e-3, .pads_attention = pads});
        const auto all = micro_batches_of(plan);
        for (const MicroBatch& micro_batch : all) {
          EXPECT_TRUE(micro_batch.tokens <= limit || micro_batch.examples.size() == 1) << micro_batch.tokens;
        }
        const auto fewest = static_cast<double>(plan.tokens) / static_cast<double>(limit);
        EXPECT_TRUE(pads || limit < 1000 || static_cast<double>(all.size()) <= 1.1 * fewest + 1 + ranks) << all.size();
      }
    }
  }
}

// One row of 500 tokens among rows of 10, with a limit of 100 tokens.
TEST(BatchPlan, ARowLongerThanTheLimitRunsByItself) {
  std::vector<data::Example> examples(31);
  for (data::Example& example : examples) example.input.resize(10);
  examples[7].input.resize(500);
  const data::InMemoryTokenizedDataset dataset(std::move(examples), true, "digest");
  const auto order = data::shuffled_indices(31, 1, 0);
  for (const bool pads : {true, false}) {
    const auto all = micro_batches_of(plan_step(dataset, order, of_tokens(100), 1, {.pads_attention = pads}));
    EXPECT_EQ(all.size(), 4U);
    EXPECT_EQ(all.front().examples, std::vector<std::uint64_t>{7});
  }
}

TEST(BatchPlan, RowsOfLikeLengthGoTogetherWhereThatPays) {
  std::vector<data::Example> examples(32);
  for (data::Example& example : examples) example.input.resize(10);
  examples[7].input.resize(500);
  const data::InMemoryTokenizedDataset dataset(std::move(examples), false, "digest");
  const auto order = data::shuffled_indices(32, 1, 0);
  const auto with = [&](double pass, bool pads) {
    return plan_step(dataset, order, of_tokens(kAnyNumber), 1, {.input_pair = 1, .pass = pass, .pads_attention = pads});
  };
  const StepPlan apart = with(1e6, true);
  EXPECT_EQ(micro_batches_of(apart).size(), 2U);
  EXPECT_EQ(apart.padding, 0);
  const StepPlan together = with(1e7, true);
  EXPECT_EQ(micro_batches_of(together).size(), 1U);
  const double tokens = 500 + 31 * 10, pairs = 500 * 500 + 31 * 10 * 10;
  EXPECT_DOUBLE_EQ(together.padding, 1 - (tokens + pairs) / (tokens + 32 * 500 * 500));
  EXPECT_EQ(micro_batches_of(with(0, false)).size(), 1U);
}

TEST(BatchPlan, RanksGetAboutEqualWork) {
  const auto dataset = random_dataset(256, false, 5);
  const auto order = data::shuffled_indices(256, 1, 0);
  const StepPlan plan = plan_step(*dataset, order, of_rows(64), 4);
  for (const auto& rank : plan.ranks) {
    std::uint64_t tokens = 0;
    for (const MicroBatch& micro_batch : rank) tokens += micro_batch.tokens;
    EXPECT_LT(static_cast<double>(tokens), 1.01 * static_cast<double>(plan.tokens) / 4);
  }
}

TEST(BatchCost, IsThatOfTheRowsAndOfPaddedAttention) {
  // Two rows, of 5 input and 1 target tokens and of 3 and 2. They have 7 labels, which depend on 6 input tokens.
  const BatchShape shape{.rows = 2,
                         .input_tokens = 8,
                         .target_tokens = 3,
                         .input_length = 5,
                         .target_length = 2,
                         .labels = 7,
                         .predictors = 6,
                         .input_pairs = 25 + 9,
                         .target_pairs = 1 + 4,
                         .cross_pairs = 5 + 6};
  BatchCost cost{.input_token = 2, .target_token = 3, .input_pair = 4, .target_pair = 5, .cross_pair = 6, .label = 8};
  const double tokens = 2 * 6 + 3 * 3 + 8 * 7;
  EXPECT_EQ(cost.of_shape(shape), tokens + 4 * 34 + 5 * 5 + 6 * 11);
  EXPECT_EQ(cost.useful_cost(shape, true), tokens + 4 * 34 + 2.5 * 5 + 6 * 11);
  EXPECT_EQ(cost.useful_cost(shape, false), tokens + 2 * 34 + 5 * 5 + 6 * 11);
  cost.pads_attention = true;
  EXPECT_EQ(cost.of_shape(shape), 2 * 2 + tokens + 2 * (4 * 25 + 5 * 4 + 6 * 10));
  EXPECT_EQ(cost.useful_cost(shape, true), tokens + 4 * 34 + 2.5 * 5 + 6 * 11);
  EXPECT_EQ(BatchCost{}.of_shape(shape), 9);
}

TEST(BatchCost, WorkOutsideOfProductsCostsButIsNotAskedFor) {
  const BatchShape shape{
      .input_tokens = 8, .target_tokens = 3, .predictors = 8, .input_pairs = 34, .target_pairs = 5, .cross_pairs = 11};
  const BatchCost products{.input_token = 2, .target_token = 3, .input_pair = 4, .target_pair = 5, .cross_pair = 6};
  BatchCost cost = products;
  cost.input_token_overhead = 10;
  cost.target_token_overhead = 20;
  cost.pair_overhead = 0.5;
  EXPECT_EQ(cost.of_shape(shape), 12 * 8 + 23 * 3 + 1.5 * (4 * 34 + 5 * 5 + 6 * 11));
  EXPECT_EQ(cost.useful_cost(shape, true), products.useful_cost(shape, true));
  cost.pads_attention = true;
  EXPECT_EQ(cost.useful_cost(shape, true), products.useful_cost(shape, true));
}

// Counted in tokens only, a hundred short rows would equal the long one, and its rank would get about a hundred short
// rows as well.
TEST(BatchPlan, AttentionsSquareCounts) {
  std::vector<data::Example> examples(301);
  for (data::Example& example : examples) example = {std::vector<TokenId>(10), {0}};
  examples[50].input.resize(1000);
  const data::InMemoryTokenizedDataset dataset(std::move(examples), false, "digest");
  const auto order = data::shuffled_indices(301, 1, 0);
  const StepPlan plan = plan_step(dataset, order, of_rows(100), 2, {.input_token = 1, .input_pair = 1});
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
    const auto order = data::shuffled_indices(512, 1, 0);
    const StepPlan plan = plan_step(*dataset, order, of_rows(32), 4, cost);
    double most = 0, all = 0;
    for (const auto& rank : plan.ranks) {
      double of_rank = 0;
      for (const MicroBatch& micro_batch : rank) of_rank += micro_batch.cost;
      most = std::max(most, of_rank);
      all += of_rank;
    }
    EXPECT_LT(most, 1.01 * all / 4);
  }
}

// The lengths are 10, 6, 6 and 6. The first row has about as many pairs as the others together, but fewer tokens.
TEST(BatchPlan, MicroBatchesAreDealtByCost) {
  std::vector<data::Example> examples(4);
  for (std::size_t i = 0; i < examples.size(); ++i) examples[i] = {std::vector<TokenId>(i == 0 ? 9 : 5), {0}};
  const data::InMemoryTokenizedDataset dataset(std::move(examples), false, "digest");
  const std::vector<std::uint64_t> all = {0, 1, 2, 3};
  const auto micro_batches = [&](const BatchCost& cost) {
    std::vector<std::size_t> counts;
    for (const auto& rank : plan_step(dataset, all, of_rows(1), 2, cost).ranks) counts.push_back(rank.size());
    return counts;
  };
  EXPECT_THAT(micro_batches({.input_token = 0, .input_pair = 1}), testing::ElementsAre(1, 3));
  EXPECT_THAT(micro_batches({.input_token = 1}), testing::ElementsAre(2, 2));
}

TEST(BatchPlan, MoreRanksThanRowsLeavesSomeWithoutWork) {
  const auto dataset = random_dataset(3, true, 6);
  const std::vector<std::uint64_t> rows = {0, 1, 2};
  const StepPlan plan = plan_step(*dataset, rows, of_rows(100), 8);
  EXPECT_EQ(all_examples(plan), rows);
}

TEST(BatchPlan, AFirstTokenThatNothingPrecedesIsNoLabel) {
  const data::InMemoryTokenizedDataset decoder_only({{{}, {1, 2, 3}}, {{9}, {1, 2, 3}}}, false, "digest");
  EXPECT_EQ(label_tokens(decoder_only, 0), 2U);
  EXPECT_EQ(label_tokens(decoder_only, 1), 3U);
  const data::InMemoryTokenizedDataset encoder_decoder({{{}, {1, 2, 3}}}, true, "digest");
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
  const auto order = data::shuffled_indices(1000, 7, 3);
  EXPECT_EQ(order, data::shuffled_indices(1000, 7, 3));
  EXPECT_NE(order, data::shuffled_indices(1000, 7, 4));
  EXPECT_NE(order, data::shuffled_indices(1000, 8, 3));
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (std::uint64_t i = 0; i < 1000; ++i) ASSERT_EQ(sorted[i], i);
}

// The 24 orders of four items must be equally frequent: chi-square test, 23 degrees of freedom, 0.1 % bound 49.7.
TEST(Shuffle, AllOrdersAreEquallyLikely) {
  std::map<std::vector<std::uint64_t>, int> counts;
  constexpr int kDraws = 24000;
  for (int epoch = 0; epoch < kDraws; ++epoch)
    ++counts[data::shuffled_indices(4, 1, static_cast<std::uint64_t>(epoch))];
  ASSERT_EQ(counts.size(), 24U);
  double chi_square = 0;
  for (const auto& [order, count] : counts) chi_square += (count - 1000.0) * (count - 1000.0) / 1000.0;
  EXPECT_LT(chi_square, 49.7);
}

TEST(Split, SetsTheShareApartWithoutOverlap) {
  std::vector<data::Example> examples(21);
  for (TokenId i = 0; i < 21; ++i) examples[i] = {{i}, {i}};
  const auto dataset = std::make_shared<data::InMemoryTokenizedDataset>(std::move(examples), true, "digest");
  const auto [training, validation] = data::split_for_validation(dataset, 0.15, 42);
  EXPECT_EQ(validation->size(), 4U);  // ceil(3.15)
  EXPECT_EQ(training->size(), 17U);
  std::vector<int> seen(21, 0);
  for (const auto& part : {training, validation}) {
    for (std::uint64_t i = 0; i < part->size(); ++i) ++seen[part->read(i).input.front()];
  }
  EXPECT_THAT(seen, testing::Each(1));
  EXPECT_EQ(data::split_for_validation(dataset, 0.15, 42).validation->read(0), validation->read(0));
}

TEST(Split, RefusesToLeaveAPartEmpty) {
  EXPECT_THROW(data::split_for_validation(random_dataset(1, true, 1), 0.15, 1), InputError);
  EXPECT_THROW(data::split_for_validation(random_dataset(10, true, 1), 0.0, 1), InputError);
}

}  // namespace
}  // namespace lockstep::batching
