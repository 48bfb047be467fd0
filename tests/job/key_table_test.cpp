#include "lockstep/job/key_table.h"

#include <gmock/gmock.h>

#include "lockstep/core/error.h"
#include "lockstep/job/hyperparameters.h"

namespace lockstep::job {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(Hyperparameters, AreSetByName) {
  const auto hyperparameters = Hyperparameters::from_choices(
      {{"num_train_epochs", 3}, {"learning_rate", 1e-3}, {"output_dir", "out"}, {"overwrite_output_dir", true}});
  EXPECT_EQ(hyperparameters.num_train_epochs, 3);
  EXPECT_EQ(hyperparameters.learning_rate, 1e-3);
  EXPECT_EQ(hyperparameters.output_dir, "out");
  EXPECT_TRUE(hyperparameters.overwrite_output_dir);
  EXPECT_EQ(hyperparameters.per_device_train_batch_size, std::nullopt);
}

TEST(Hyperparameters, UnknownNameSaysTheNearestAndAllSupported) {
  EXPECT_THAT(
      [] {
        Hyperparameters::from_choices({{"num_epochs", 3}});
      },
      ThrowsMessage<InputError>(AllOf(HasSubstr("unknown key 'num_epochs'; the nearest key is 'num_train_epochs'"),
                                      HasSubstr("weight_decay"))));
}

TEST(Hyperparameters, NegativeEpochsAreRefused) {
  EXPECT_THAT(
      [] {
        Hyperparameters::from_choices({{"num_train_epochs", -1}});
      },
      ThrowsMessage<InputError>(
          HasSubstr("hyperparameters: num_train_epochs: expected a number from 0 up, found '-1'")));
  EXPECT_THROW(Hyperparameters::from_choices({{"num_train_epochs", 0}}), InputError);
}

TEST(Hyperparameters, WrongTypesAreRefused) {
  EXPECT_THROW(Hyperparameters::from_choices({{"per_device_train_batch_size", 1.5}}), InputError);
  EXPECT_THROW(Hyperparameters::from_choices({{"learning_rate", "fast"}}), InputError);
  EXPECT_THROW(Hyperparameters::from_choices({{"overwrite_output_dir", 1}}), InputError);
  EXPECT_THROW(Hyperparameters::from_choices({{"seed", true}}), InputError);
  EXPECT_THROW(Hyperparameters::from_choices({{"lr_scheduler_type", "zigzag"}}), InputError);
  EXPECT_THROW(Hyperparameters::from_choices({{"learning_rate", std::numeric_limits<double>::quiet_NaN()}}),
               InputError);
}

TEST(Hyperparameters, UnknownEvaluationStrategyBecomesEpoch) {
  const auto strategy = [](const char* name) {
    return Hyperparameters::from_choices({{"evaluation_strategy", name}}).evaluation_strategy;
  };
  EXPECT_EQ(strategy("steps"), EvaluationStrategy::kEpoch);
  EXPECT_EQ(strategy("no"), EvaluationStrategy::kNo);
}

TEST(KeyTable, DescribesEveryKeyWithItsValue) {
  std::int64_t rows = 7;
  SaveStrategy strategy = SaveStrategy::kNo;
  KeyTable table;
  table.add("rows", &rows, "how many");
  table.add("strategy", &strategy, "when");
  EXPECT_THAT(table.describe(), AllOf(HasSubstr("how many [7]"), HasSubstr("when (no, steps, epoch, time) [no]")));
}

TEST(KeyTable, AnEnumerationIsReadAndWrittenByName) {
  SaveStrategy strategy = SaveStrategy::kNo;
  KeyTable table;
  table.add("strategy", &strategy, "when");
  table.set("strategy", {{"epoch"}}, "here");
  EXPECT_EQ(strategy, SaveStrategy::kEpoch);
  EXPECT_THAT(table.values(), testing::ElementsAre(std::pair<std::string, std::string>("strategy", "\"epoch\"")));
  EXPECT_THAT(
      [&] { table.set("strategy", {{"epochs"}}, "here"); },
      ThrowsMessage<InputError>(HasSubstr("here: strategy: expected one of: no, steps, epoch, time, found 'epochs'")));
  EXPECT_THAT([&] { table.set("strategy", {{""}}, "here"); },
              ThrowsMessage<InputError>(HasSubstr("here: strategy: expected a text, found ''")));
  EXPECT_EQ(strategy, SaveStrategy::kEpoch);
}

TEST(KeyTable, AListForASingleValueIsRefused) {
  std::int64_t rows = 7;
  KeyTable table;
  table.add("rows", &rows, "how many");
  EXPECT_THAT(
      [&] {
        table.set("rows", {{"1", "2"}, true}, "here");
      },
      ThrowsMessage<InputError>(HasSubstr("here: rows: expected a single value, found the list [1, 2]")));
}

TEST(KeyTable, ANearestKeyIsNamedOnlyIfItIsNear) {
  std::int64_t value = 0;
  KeyTable table;
  table.add("seed", &value, "help");
  EXPECT_THAT([&] { table.set("fp16", {{"1"}}, "job.yaml"); },
              testing::ThrowsMessage<InputError>(
                  testing::AllOf(testing::HasSubstr("'fp16'"), testing::Not(testing::HasSubstr("nearest")))));
}

TEST(Hyperparameters, TheTrainersNamesOfAdamWAreOneOptimizer) {
  for (const char* name : {"adamw", "adamw_torch", "adamw_torch_fused", "adamw_hf"}) {
    const auto hyperparameters = Hyperparameters::from_choices({{"optim", name}});
    EXPECT_EQ(hyperparameters.optim, Optim::kAdamW);
    EXPECT_EQ(hyperparameters.changes(), "");
  }
  EXPECT_EQ(Hyperparameters::from_choices({{"optim", "lion"}}).optim, Optim::kLion);
  EXPECT_THROW(Hyperparameters::from_choices({{"optim", "sgd"}}), InputError);
}

TEST(Hyperparameters, ResumeFromANewestANamedOrNoCheckpoint) {
  const auto from = [](const char* text) {
    return Hyperparameters::from_choices({{"resume_from_checkpoint", text}}).resume_from_checkpoint;
  };
  EXPECT_EQ(from("auto"), ResumeFrom{});
  EXPECT_EQ(from("never"), ResumeFrom{ResumeFrom::Kind::kNever});
  EXPECT_EQ(from("result/checkpoint-3"), (ResumeFrom{ResumeFrom::Kind::kFolder, "result/checkpoint-3"}));
  for (const char* text : {"auto", "never", "result/checkpoint-3"}) EXPECT_EQ(from(text).to_text(), text);
  EXPECT_THROW(from(""), InputError);
}

}  // namespace
}  // namespace lockstep::job
