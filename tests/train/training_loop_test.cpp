#include "lockstep/train/training_loop.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <regex>
#include <sstream>
#include <string>

#include "lockstep/core/error.h"
#include "models/bigram_model.h"

namespace lockstep::train {
namespace {

using test::BigramModel;

class Recorder final : public MetricSink {
 public:
  void on_step(const StepMetrics& metrics) override { steps.push_back(metrics); }
  void on_evaluation(const EvaluationMetrics& metrics) override { evaluations.push_back(metrics); }

  std::vector<double> losses() const {
    std::vector<double> result;
    for (const StepMetrics& metrics : steps) result.push_back(metrics.loss);
    return result;
  }

  std::vector<StepMetrics> steps;
  std::vector<EvaluationMetrics> evaluations;
};

constexpr std::int64_t kVocabulary = 11;

std::shared_ptr<const TokenizedDataset> random_rows(std::size_t size) {
  std::mt19937 generator(static_cast<std::uint32_t>(size));
  std::vector<data::Example> examples(size);
  for (data::Example& example : examples) {
    example.input.resize(generator() % 6 + 1);
    example.target.resize(generator() % 5 + 1);
    for (auto* ids : {&example.input, &example.target}) {
      for (TokenId& id : *ids) id = generator() % kVocabulary;
    }
  }
  return std::make_shared<data::InMemoryTokenizedDataset>(std::move(examples), false, "digest");
}

Recorder train(const HyperparameterChoices& choices, std::size_t rows = 25, bool validate = false,
               test::BigramModel* model = nullptr) {
  test::BigramModel own(kVocabulary);
  Recorder recorder;
  TrainingLoop loop(model ? *model : own, random_rows(rows), validate ? random_rows(7) : nullptr, 0,
                    Hyperparameters::from_choices(choices), make_communicator());
  loop.run({&recorder});
  return recorder;
}

TEST(TrainingLoop, LossFalls) {
  const auto losses = train({{"num_train_epochs", 20}, {"global_batch_size", 5}, {"learning_rate", 0.1}}).losses();
  EXPECT_NEAR(losses.front(), std::log(static_cast<double>(kVocabulary)), 1e-5);
  EXPECT_LT(losses.back(), 0.8 * losses.front());
}

TEST(TrainingLoop, TheCutIntoMicroBatchesChangesNothing) {
  const auto with = [](std::int64_t rows, std::int64_t accumulation) {
    return train({{"num_train_epochs", 3},
                  {"global_batch_size", 8},
                  {"per_device_train_batch_size", rows},
                  {"gradient_accumulation_steps", accumulation},
                  {"learning_rate", 0.1}})
        .losses();
  };
  const auto whole = with(8, 1);
  for (const auto& [rows, accumulation] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {3, 1}, {8, 4}, {100, 2}}) {
    const auto cut = with(rows, accumulation);
    ASSERT_EQ(cut.size(), whole.size());
    for (std::size_t i = 0; i < cut.size(); ++i) EXPECT_NEAR(cut[i], whole[i], 1e-5 * whole[i]) << "step " << i;
  }
}

TEST(TrainingLoop, TheTokensOfAMicroBatchChangeNothingButTheirNumber) {
  const auto with = [](std::optional<std::int64_t> tokens, test::BigramModel& model) {
    HyperparameterChoices choices = {{"num_train_epochs", 3}, {"global_batch_size", 8}, {"learning_rate", 0.1}};
    if (tokens) choices.emplace("max_tokens_per_micro_batch", *tokens);
    return train(choices, 25, false, &model).losses();
  };
  test::BigramModel whole(kVocabulary);
  const auto expected = with(std::nullopt, whole);
  EXPECT_EQ(whole.micro_batches, 12);  // one per step
  int before = whole.micro_batches;
  for (const std::int64_t tokens : {30, 10, 1}) {
    test::BigramModel cut(kVocabulary);
    const auto found = with(tokens, cut);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-5 * expected[i]);
    EXPECT_TRUE(torch::allclose(cut.weight, whole.weight, 1e-5, 1e-5));
    EXPECT_GT(cut.micro_batches, before);
    before = cut.micro_batches;
  }
  EXPECT_EQ(before, 75);  // one per row
}

TEST(TrainingLoop, WhatTheModelAsksForIsAShareOfThePeak) {
  test::BigramModel model(kVocabulary);
  const auto rows = random_rows(25);
  TrainingLoop loop(model, rows, nullptr, 0,
                    Hyperparameters::from_choices({{"max_steps", 2}, {"global_batch_size", 25}}), make_communicator());
  loop.set_peak_flops(1e9);
  Recorder recorder;
  loop.run({&recorder});
  for (const StepMetrics& metrics : recorder.steps) {
    // A model of unknown type counts one multiply-add per token that predicts another.
    EXPECT_DOUBLE_EQ(metrics.flops, 6 * (static_cast<double>(metrics.tokens) - 25));
    EXPECT_DOUBLE_EQ(metrics.mfu().value(), metrics.flops / metrics.seconds / 1e9);
    EXPECT_EQ(metrics.padding, 0);
    EXPECT_GE(metrics.input_wait, 0);
    EXPECT_LE(metrics.input_wait, 1);
  }
}

TEST(TrainingLoop, GlobalBatchDefaultsToRowsTimesAccumulation) {
  test::BigramModel model(kVocabulary);
  const auto recorder =
      train({{"num_train_epochs", 1}, {"per_device_train_batch_size", 5}, {"gradient_accumulation_steps", 2}}, 25,
            false, &model);
  EXPECT_EQ(recorder.steps.size(), 3U);  // 10 + 10 + 5 rows
  EXPECT_EQ(model.micro_batches, 5);
}

TEST(TrainingLoop, StepsComeFromEpochsOrMaxSteps) {
  EXPECT_EQ(train({{"num_train_epochs", 2}, {"global_batch_size", 10}}).steps.size(), 6U);
  EXPECT_EQ(train({{"num_train_epochs", 1.5}, {"global_batch_size", 10}}).steps.size(), 5U);
  EXPECT_EQ(train({{"max_steps", 7}, {"global_batch_size", 10}}).steps.size(), 7U);
}

TEST(TrainingLoop, EvaluatesAfterEachEpochAndAtTheEnd) {
  const auto recorder = train({{"max_steps", 7}, {"global_batch_size", 10}}, 25, true);
  ASSERT_EQ(recorder.evaluations.size(), 3U);
  EXPECT_EQ(recorder.evaluations[0].step, 3U);
  EXPECT_EQ(recorder.evaluations[1].step, 6U);
  EXPECT_EQ(recorder.evaluations[2].step, 7U);
  EXPECT_EQ(recorder.evaluations[1].epoch, 2);
  EXPECT_GT(recorder.evaluations[0].target_tokens, 0U);
}

TEST(TrainingLoop, AnEvaluationIsPlainButForTheGatheringOfLayersAndSmoothing) {
  test::BigramModel model(kVocabulary);
  train({{"num_train_epochs", 1}, {"label_smoothing_factor", 0.1}, {"bf16", true}, {"gradient_checkpointing", "true"}},
        25, true, &model);
  const models::Pass &step = model.last_pass, &evaluation = model.last_evaluation_pass;
  EXPECT_TRUE(step.dropout.active());
  EXPECT_TRUE(step.adds_gradients_in_place);
  EXPECT_TRUE(step.recomputes_layers);
  EXPECT_TRUE(step.loss_scale.has_value());
  EXPECT_NE(step.rounded_weights, nullptr);
  EXPECT_NE(step.observer, nullptr);
  EXPECT_FALSE(evaluation.dropout.active());
  EXPECT_EQ(evaluation.rounded_weights, nullptr);
  EXPECT_NE(evaluation.observer, nullptr);
  for (const models::Pass* pass : {&step, &evaluation}) EXPECT_EQ(pass->label_smoothing, 0.1);
}

TEST(TrainingLoop, EveryRowRunsOnceAnEpoch) {
  const auto recorder = train({{"num_train_epochs", 1}, {"global_batch_size", 4}});
  const auto rows = random_rows(25);
  std::uint64_t tokens = 0, expected = 0;
  for (const StepMetrics& metrics : recorder.steps) tokens += metrics.tokens;
  for (std::uint64_t i = 0; i < rows->size(); ++i) expected += rows->input_length(i) + rows->target_length(i);
  EXPECT_EQ(tokens, expected);
}

TEST(TrainingLoop, TheSameJobGivesTheSameBits) {
  const HyperparameterChoices choices = {{"num_train_epochs", 4}, {"global_batch_size", 6}, {"learning_rate", 0.1}};
  test::BigramModel first(kVocabulary), second(kVocabulary);
  train(choices, 25, false, &first);
  train(choices, 25, false, &second);
  EXPECT_TRUE(first.parameters()[0].equal(second.parameters()[0]));
}

// Returns the rows, counted from 1, in which `token` directly precedes a token that is learned.
std::vector<std::uint64_t> rows_that_learn_after(TokenId token, const TokenizedDataset& rows) {
  std::vector<std::uint64_t> found;
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    const data::Example example = rows.read(i);
    std::vector<TokenId> before = {example.input.back()};
    before.insert(before.end(), example.target.begin(), example.target.end() - 1);
    if (std::find(before.begin(), before.end(), token) != before.end()) found.push_back(i + 1);
  }
  return found;
}

std::unique_ptr<test::BigramModel> model_that_overflows_after(TokenId token) {
  auto model = std::make_unique<test::BigramModel>(kVocabulary);
  model->weight.data()[token][4] = std::numeric_limits<float>::infinity();
  return model;
}

// Records a rank's steps, and whether the weights changed in each.
class WeightWatcher final : public MetricSink {
 public:
  explicit WeightWatcher(const test::BigramModel& model) : model_(model), before_(model.weight.clone()) {}
  void on_step(const StepMetrics& metrics) override {
    steps.push_back(metrics);
    changed.push_back(!model_.weight.equal(before_));
    before_ = model_.weight.clone();
  }
  void on_evaluation(const EvaluationMetrics&) override {}

  std::vector<StepMetrics> steps;
  std::vector<bool> changed;

 private:
  const test::BigramModel& model_;
  at::Tensor before_;
};

TEST(TrainingLoop, ADivergedRunStopsAfterTheStepsThatMayBeSkippedAndTheWeightsStay) {
  for (const std::int64_t limit : {0, 2}) {
    const auto model = model_that_overflows_after(3);
    const at::Tensor before = model->weight.clone();
    WeightWatcher watcher(*model);
    TrainingLoop loop(
        *model, random_rows(25), nullptr, 0,
        Hyperparameters::from_choices({{"max_steps", 50}, {"global_batch_size", 25}, {"max_skipped_steps", limit}}),
        make_communicator());
    EXPECT_THAT([&] { loop.run({&watcher}); },
                testing::ThrowsMessage<Error>(testing::AllOf(
                    testing::HasSubstr("step " + std::to_string(limit + 1) + ":"), testing::HasSubstr("learning_rate"),
                    testing::HasSubstr("rank 0"), testing::HasSubstr("max_skipped_steps"))));
    EXPECT_EQ(watcher.steps.size(), static_cast<std::size_t>(limit));
    EXPECT_EQ(loop.skipped_steps(), static_cast<std::uint64_t>(limit));
    EXPECT_TRUE(model->weight.equal(before));
  }
}

// Runs a job that ends at its first step, in micro-batches of `rows`, and returns its message about training rows.
std::string named_rows(std::int64_t rows) {
  try {
    train(
        {{"max_steps", 1}, {"global_batch_size", 25}, {"per_device_train_batch_size", rows}, {"max_skipped_steps", 0}},
        25, false, model_that_overflows_after(3).get());
  } catch (const Error& error) {
    const std::string message = error.what();
    std::smatch named;
    if (std::regex_search(message, named, std::regex("training rows ([^(]+) "))) return named.str(1);
  }
  return "";
}

std::vector<std::uint64_t> to_numbers(const std::string& list) {
  std::vector<std::uint64_t> numbers;
  std::istringstream parts(list);
  for (std::string number; std::getline(parts, number, ',');) numbers.push_back(std::stoull(number));
  return numbers;
}

TEST(TrainingLoop, TheMessageNamesTheRowsOfTheMicroBatchesThatAreNotFinite) {
  const auto data = random_rows(25);
  const auto bad = rows_that_learn_after(3, *data);
  std::vector<std::uint64_t> all(25), expected;
  std::iota(all.begin(), all.end(), std::uint64_t{0});
  const batching::StepPlan plan = batching::plan_step(*data, all, {.rows = 1, .tokens = 1000}, 1);
  for (const batching::MicroBatch& micro_batch : plan.ranks.front()) {
    std::vector<std::uint64_t> rows = micro_batch.examples;
    for (std::uint64_t& row : rows) ++row;
    if (std::ranges::find_first_of(rows, bad) != rows.end()) expected.insert(expected.end(), rows.begin(), rows.end());
  }
  ASSERT_THAT(expected.size(), testing::AllOf(testing::Ge(bad.size()), testing::Gt(1U), testing::Lt(16U)));
  EXPECT_THAT(to_numbers(named_rows(1)), testing::UnorderedElementsAreArray(expected));
}

TEST(TrainingLoop, AtMostSixteenRowsAreNamed) {
  const std::string named = named_rows(25);
  ASSERT_THAT(named, testing::EndsWith(" and 9 more"));
  EXPECT_EQ(to_numbers(named).size(), 16U);
}

TEST(TrainingLoop, AStepThatIsNotFiniteIsSkippedAndTheOthersTrain) {
  const auto data = random_rows(25);
  const auto bad = rows_that_learn_after(3, *data);
  const auto model = model_that_overflows_after(3);
  WeightWatcher watcher(*model);
  TrainingLoop loop(
      *model, data, nullptr, 0,
      Hyperparameters::from_choices(
          {{"num_train_epochs", 1}, {"global_batch_size", 1}, {"learning_rate", 0.1}, {"max_skipped_steps", 24}}),
      make_communicator());
  loop.run({&watcher});
  ASSERT_EQ(watcher.steps.size(), 25U);
  std::size_t losses = 0, gradients_alone = 0;  // not finite; the latter in rows with the token elsewhere
  for (std::size_t i = 0; i < watcher.steps.size(); ++i) {
    const StepMetrics& metrics = watcher.steps[i];
    losses += std::isfinite(metrics.loss) ? 0 : 1;
    gradients_alone += std::isfinite(metrics.loss) && !std::isfinite(metrics.grad_norm) ? 1 : 0;
    EXPECT_EQ(metrics.skipped, !std::isfinite(metrics.loss) || !std::isfinite(metrics.grad_norm));
    EXPECT_EQ(watcher.changed[i], !metrics.skipped) << "step " << metrics.step;
    EXPECT_NEAR(metrics.learning_rate, 0.1 * static_cast<double>(25 - i) / 25, 1e-12);
  }
  EXPECT_EQ(losses, bad.size());
  EXPECT_GT(gradients_alone, 0U);
  EXPECT_EQ(loop.skipped_steps(), losses + gradients_alone);
}

TEST(TrainingLoop, RefusesDataOfAnotherKindAndEmptyData) {
  test::BigramModel model(kVocabulary);
  const auto encoder_decoder =
      std::make_shared<data::InMemoryTokenizedDataset>(std::vector<data::Example>{{{1}, {2}}}, true, "digest");
  EXPECT_THROW(TrainingLoop(model, encoder_decoder, nullptr, 0, {}, make_communicator()), InputError);
  const auto empty = std::make_shared<data::InMemoryTokenizedDataset>(std::vector<data::Example>{}, false, "digest");
  EXPECT_THROW(TrainingLoop(model, empty, nullptr, 0, {}, make_communicator()), InputError);
}

}  // namespace
}  // namespace lockstep::train
