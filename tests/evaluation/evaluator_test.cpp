#include "lockstep/evaluation/evaluator.h"

#include <gmock/gmock.h>

#include <cmath>

#include "models/bigram_model.h"

namespace lockstep::evaluation {
namespace {

using test::BigramModel;

constexpr std::int64_t kVocabulary = 7;

// Every next token is certain, except after token 6, whose successors are equally likely.
test::BigramModel half_certain_model() {
  test::BigramModel model(kVocabulary);
  const at::NoGradGuard no_grad;
  for (std::int64_t token = 0; token < kVocabulary - 1; ++token) model.weight[token][token + 1] = 1000;
  return model;
}

data::InMemoryTokenizedDataset rows() {
  return {{{{1}, {2, 3}}, {{6, 6}, {1}}, {{2}, {3, 4, 5, 6}}, {{1, 2, 6}, {0, 1}}}, false, "digest"};
}

TEST(Evaluator, GivesTheLossOfEveryRowInTheDatasetsOrder) {
  test::BigramModel model = half_certain_model();
  const auto communicator = make_communicator();
  const double uncertain = std::log(static_cast<double>(kVocabulary));
  const std::vector<double> expected = {0, uncertain, 0, uncertain};
  const std::vector<std::uint64_t> tokens = {2, 1, 4, 2};
  for (const std::uint64_t batch_size : {1U, 3U, 10U}) {
    const auto found = evaluate_rows(model, rows(), batch_size, 0, *communicator).value();
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_NEAR(found[i].loss_sum, expected[i], 1e-6) << "row " << i << ", batch size " << batch_size;
      EXPECT_EQ(found[i].target_tokens, tokens[i]) << "row " << i;
    }
    EXPECT_NEAR(total(found).mean(), 2 * uncertain / 9, 1e-6);
  }
}

TEST(Evaluator, RunsInEvaluationModeAndGoesBackToTraining) {
  test::BigramModel model = half_certain_model();
  model.train();
  evaluate_rows(model, rows(), 2, 0, *make_communicator());
  EXPECT_FALSE(model.was_training);
  EXPECT_TRUE(model.is_training());
  EXPECT_FALSE(model.weight.grad().defined());
}

TEST(Evaluator, ReportsItsProgress) {
  test::BigramModel model = half_certain_model();
  std::vector<std::uint64_t> done;
  evaluate_rows(model, rows(), 3, 0, *make_communicator(), [&](std::uint64_t rows_done) { done.push_back(rows_done); });
  EXPECT_THAT(done, testing::ElementsAre(3, 4));
}

TEST(Evaluator, StopsWithTheBatchDuringWhichItIsAskedTo) {
  test::BigramModel model = half_certain_model();
  model.train();
  const auto communicator = make_communicator();
  const auto end = std::chrono::system_clock::now() + std::chrono::hours(1);
  StopRequests stop(communicator, {.end = end});
  std::vector<std::uint64_t> done;
  const auto on_progress = [&](std::uint64_t rows_done) {
    done.push_back(rows_done);
    if (rows_done == 2) stop.set_time_to_save(std::chrono::hours(1));
  };
  EXPECT_FALSE(evaluate_rows(model, rows(), 1, 0, *communicator, on_progress, &stop).has_value());
  EXPECT_THAT(done, testing::ElementsAre(1, 2));
  EXPECT_TRUE(stop.agreed());
  EXPECT_TRUE(model.is_training());
}

TEST(Evaluator, TheMeanOfNothingIsZero) { EXPECT_EQ(LossTotals{}.mean(), 0); }

}  // namespace
}  // namespace lockstep::evaluation
