#include "lockstep/train/training_loop.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <random>

#include "lockstep/core/error.h"
#include "models/bigram_model.h"

namespace lockstep {
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
  std::vector<Example> examples(size);
  for (Example& example : examples) {
    example.input.resize(generator() % 6 + 1);
    example.target.resize(generator() % 5 + 1);
    for (auto* ids : {&example.input, &example.target}) {
      for (TokenId& id : *ids) id = generator() % kVocabulary;
    }
  }
  return std::make_shared<InMemoryTokenizedDataset>(std::move(examples), false, "digest");
}

Recorder train(const HyperparameterChoices& choices, std::size_t rows = 25, bool validate = false,
               BigramModel* model = nullptr) {
  BigramModel own(kVocabulary);
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

TEST(TrainingLoop, GlobalBatchDefaultsToRowsTimesAccumulation) {
  BigramModel model(kVocabulary);
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
  BigramModel first(kVocabulary), second(kVocabulary);
  train(choices, 25, false, &first);
  train(choices, 25, false, &second);
  EXPECT_TRUE(first.parameters()[0].equal(second.parameters()[0]));
}

TEST(TrainingLoop, ADivergedStepStopsTheRunBeforeTheWeightsChange) {
  BigramModel model(kVocabulary);
  model.weight.data()[3][4] = std::numeric_limits<float>::infinity();
  const at::Tensor before = model.weight.clone();
  EXPECT_THAT(
      [&] {
        train({{"max_steps", 50}, {"global_batch_size", 25}}, 25, false, &model);
      },
      testing::ThrowsMessage<Error>(testing::AllOf(testing::HasSubstr("step "), testing::HasSubstr("learning_rate"))));
  EXPECT_TRUE(model.weight.equal(before));
}

TEST(TrainingLoop, RefusesDataOfAnotherKindAndEmptyData) {
  BigramModel model(kVocabulary);
  const auto encoder_decoder =
      std::make_shared<InMemoryTokenizedDataset>(std::vector<Example>{{{1}, {2}}}, true, "digest");
  EXPECT_THROW(TrainingLoop(model, encoder_decoder, nullptr, 0, {}, make_communicator()), InputError);
  const auto empty = std::make_shared<InMemoryTokenizedDataset>(std::vector<Example>{}, false, "digest");
  EXPECT_THROW(TrainingLoop(model, empty, nullptr, 0, {}, make_communicator()), InputError);
}

}  // namespace
}  // namespace lockstep
