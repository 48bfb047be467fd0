#include "lockstep/train/generation_model_trainer.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <map>
#include <sstream>

#include "core/captured_log.h"
#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/json.h"
#include "lockstep/sharding/parameter_layout.h"

namespace lockstep::train {
namespace {

using test::CapturedLog;

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using testing::ThrowsMessage;

Dataset rows(std::size_t count) {
  std::vector<std::string> inputs, outputs;
  const std::vector<std::string> words = {"walk", "run", "jump", "look"};
  const std::vector<std::string> actions = {"I_WALK", "I_RUN", "I_JUMP", "I_LOOK"};
  for (std::size_t i = 0; i < count; ++i) {
    inputs.push_back(words[i % 4] + (i % 3 == 0 ? " twice" : ""));
    outputs.push_back(actions[i % 4] + (i % 3 == 0 ? " " + actions[i % 4] : ""));
  }
  return Dataset::from_columns(inputs, outputs);
}

class GenerationModelTrainerTest : public testing::Test {
 protected:
  void TearDown() override { fs::remove_all(folder_); }

  TrainedModel train(const fs::path& model, std::size_t training_rows, HyperparameterChoices choices,
                     const std::vector<Dataset>& validation = {}) {
    choices.emplace("output_dir", (folder_ / "result").string());
    choices.emplace("num_train_epochs", 2);
    choices.emplace("global_batch_size", 4);
    GenerationModelTrainer trainer(TrainedModel::create(model, 1), 32);
    return trainer.train_model({rows(training_rows), rows(2)}, choices, validation);
  }

  std::vector<Json> metrics(const std::string& event) const {
    std::istringstream lines(core::read_file(folder_ / "result" / "metrics.jsonl"));
    std::vector<Json> found;
    for (std::string line; std::getline(lines, line);) {
      if (Json json = Json::parse(line); json["event"] == event) found.push_back(std::move(json));
    }
    return found;
  }

  fs::path folder_ = fs::temp_directory_path() / ("trainer_test_" + std::to_string(::getpid()));
  fs::path t5_ = fs::path(LOCKSTEP_EXAMPLES) / "models" / "scan-t5";
  fs::path gpt2_ = fs::path(LOCKSTEP_EXAMPLES) / "models" / "nl2bash-gpt2";
};

TEST_F(GenerationModelTrainerTest, ReturnsAModelThatGeneratesAndWasSaved) {
  const TrainedModel trained = train(t5_, 10, {});
  const auto answers = trained.generate({"walk"}, {.max_new_tokens = 4});
  EXPECT_EQ(TrainedModel::load(folder_ / "result").generate({"walk"}, {.max_new_tokens = 4}), answers);
}

TEST_F(GenerationModelTrainerTest, TheReturnedModelCanBeTrainedFurtherByLibTorch) {
  for (const char* sharding : {"none", "full"}) {
    const TrainedModel trained = train(gpt2_, 10, {{"optimizer_sharding", sharding}, {"overwrite_output_dir", true}});
    for (const at::Tensor& parameter : trained.model->parameters()) EXPECT_FALSE(parameter.grad().defined());
    torch::optim::SGD optimizer(trained.model->parameters(), 0.05);
    const std::vector<data::Example> examples = {{{5, 6, 7}, {8, 9}}};
    const models::Batch batch = models::collate(examples, std::vector<std::uint64_t>{0}, false, 0, 0);
    std::vector<double> losses;
    for (int step = 0; step < 3; ++step) {
      models::Pass pass;
      optimizer.zero_grad();
      const at::Tensor loss = trained.model->loss_sum(batch, pass);
      loss.backward();
      optimizer.step();
      losses.push_back(loss.item<double>());
    }
    EXPECT_LT(losses[1], losses[0]);
    EXPECT_LT(losses[2], losses[1]);
  }
}

TEST_F(GenerationModelTrainerTest, RefusesWhatIsMissingAndWhatIsFrozen) {
  const HyperparameterChoices choices = {{"output_dir", (folder_ / "result").string()}};
  const auto refusal = [](const std::string& words) { return ThrowsMessage<InputError>(HasSubstr(words)); };
  EXPECT_THAT([] { TrainedModel().generate({"walk"}); }, refusal("found no model"));
  EXPECT_THAT([&] { TrainedModel().save(folder_); }, refusal("found no model"));
  EXPECT_THAT([&] { GenerationModelTrainer(TrainedModel(), 32).train_model({rows(4)}, choices); },
              refusal("found no model"));
  GenerationModelTrainer trainer(TrainedModel::create(gpt2_, 1), 32);
  EXPECT_THAT([&] { trainer.train_tokenized(nullptr, nullptr, Hyperparameters::from_choices(choices), {}); },
              refusal("training: expected a tokenized dataset"));
  const GenerationModelTrainer taken = std::move(trainer);
  EXPECT_THAT([&] { trainer.train_model({rows(4)}, choices); }, refusal("found no model"));
  const TrainedModel frozen = TrainedModel::create(gpt2_, 1);
  for (at::Tensor parameter : frozen.model->parameters()) parameter.requires_grad_(false);
  EXPECT_THAT([&] { GenerationModelTrainer(frozen, 32).train_model({rows(4)}, choices); },
              refusal("found that all are frozen"));
  EXPECT_FALSE(fs::exists(folder_ / "result"));
}

TEST_F(GenerationModelTrainerTest, TrainsWhereGradientsAreTurnedOff) {
  const at::NoGradGuard no_grad;
  train(gpt2_, 10, {});
  EXPECT_TRUE(fs::exists(folder_ / "result" / "model.safetensors"));
}

TEST_F(GenerationModelTrainerTest, AModelsFolderHoldsNoFilesOfAnother) {
  train(t5_, 10, {});
  core::write_file(folder_ / "result" / "generation_config.json", "{}");
  const auto answers = train(gpt2_, 10, {{"overwrite_output_dir", true}}).generate({"walk"}, {.max_new_tokens = 4});
  EXPECT_FALSE(fs::exists(folder_ / "result" / "spiece.model"));
  EXPECT_FALSE(fs::exists(folder_ / "result" / "generation_config.json"));
  EXPECT_EQ(TrainedModel::load(folder_ / "result").generate({"walk"}, {.max_new_tokens = 4}), answers);
}

TEST_F(GenerationModelTrainerTest, AFinishedRunIsNotTrainedAgain) {
  const auto answers = train(t5_, 10, {{"learning_rate", 0.01}}).generate({"walk"}, {.max_new_tokens = 4});
  const auto before = core::read_file(folder_ / "result" / "metrics.jsonl");
  const CapturedLog log;
  EXPECT_EQ(train(t5_, 10, {{"learning_rate", 0.01}}).generate({"walk"}, {.max_new_tokens = 4}), answers);
  EXPECT_THAT(log.text(), HasSubstr("this run has already finished"));
  EXPECT_EQ(core::read_file(folder_ / "result" / "metrics.jsonl"), before);
  EXPECT_THAT([&] { train(t5_, 10, {{"learning_rate", 0.02}}); }, ThrowsMessage<InputError>(HasSubstr("is not empty")));
}

TEST_F(GenerationModelTrainerTest, TheModelCardTellsOfTheRun) {
  train(t5_, 18, {{"test_size", 0.15}, {"learning_rate", 2e-3}});
  const std::string split = core::read_file(folder_ / "result" / "README.md");
  EXPECT_THAT(split, StartsWith("---\nlibrary_name: transformers\npipeline_tag: text2text-generation\n"));
  EXPECT_THAT(split, HasSubstr("- training: `in-memory dataset`, `in-memory dataset`\n"
                               "- validation: set apart from these rows, by test_size 0.15\n"));
  EXPECT_THAT(split, HasSubstr("| rows in the datasets | 20 | - |"));
  EXPECT_THAT(split, HasSubstr("| rows used | 17 | 3 |"));
  EXPECT_THAT(split, HasSubstr("learning_rate: 0.002\n"));
  EXPECT_THAT(split, HasSubstr("\n| 2 | 10 | "));  // epochs and steps

  train(gpt2_, 10, {{"overwrite_output_dir", true}}, {rows(5)});
  const std::string given = core::read_file(folder_ / "result" / "README.md");
  EXPECT_THAT(given, HasSubstr("pipeline_tag: text-generation\n"));
  EXPECT_THAT(given, HasSubstr("- validation: `in-memory dataset`\n"));
  EXPECT_THAT(given, HasSubstr("| rows in the datasets | 12 | 5 |"));

  train(gpt2_, 10, {{"overwrite_output_dir", true}, {"evaluation_strategy", "no"}});
  EXPECT_THAT(core::read_file(folder_ / "result" / "README.md"), HasSubstr("- validation: none\n"));
}

TEST_F(GenerationModelTrainerTest, ATrainerNamesTheFolderThatItLoaded) {
  TrainedModel::create(gpt2_, 1).save(folder_ / "model");
  GenerationModelTrainer trainer((folder_ / "model").string(), false, 32);
  trainer.train_model({rows(4)}, {{"output_dir", (folder_ / "result").string()}, {"max_steps", 1}});
  EXPECT_THAT(core::read_file(folder_ / "result" / "README.md"),
              HasSubstr(" from `" + (folder_ / "model").string() + "`.\n"));
}

TEST_F(GenerationModelTrainerTest, AListOfDatasetsIsOneTrainingSet) {
  train(t5_, 10, {}, {rows(3)});
  EXPECT_EQ(metrics("step").size(), 6U);  // 12 rows in batches of 4, two epochs
  EXPECT_EQ(metrics("evaluation").size(), 2U);
}

TEST_F(GenerationModelTrainerTest, AnEncoderDecoderWithoutValidationSetSplitsWithAWarning) {
  const test::CapturedLog log;
  train(t5_, 18, {{"test_size", 0.15}});
  EXPECT_THAT(log.text(), HasSubstr("warning: no validation set is given: 3 of 20 training rows"));
  EXPECT_EQ(metrics("evaluation").size(), 2U);
}

TEST_F(GenerationModelTrainerTest, ADecoderOnlyModelWithoutValidationSetTrainsWithAWarning) {
  const test::CapturedLog log;
  train(gpt2_, 10, {});
  EXPECT_THAT(log.text(), HasSubstr("warning: no validation set is given: evaluation is skipped"));
  EXPECT_EQ(metrics("evaluation").size(), 0U);
  EXPECT_EQ(metrics("step").size(), 6U);
}

TEST_F(GenerationModelTrainerTest, NoEvaluationIsAnInfoAndAWarningIfAValidationSetWasGiven) {
  {
    const test::CapturedLog log;
    train(t5_, 10, {{"evaluation_strategy", "no"}});
    EXPECT_THAT(log.text(), HasSubstr("info: evaluation_strategy is no"));
    EXPECT_THAT(log.text(), Not(HasSubstr("warning: evaluation_strategy is no")));
  }
  const test::CapturedLog log;
  train(t5_, 10, {{"evaluation_strategy", "no"}, {"overwrite_output_dir", true}}, {rows(3)});
  EXPECT_THAT(log.text(), HasSubstr("warning: evaluation_strategy is no: the validation set is not used"));
  EXPECT_EQ(metrics("evaluation").size(), 0U);
}

TEST_F(GenerationModelTrainerTest, MistakesAreRefusedBeforeAnyWork) {
  EXPECT_THAT(
      [&] {
        train(t5_, 10, {{"num_epochs", 2}});
      },
      ThrowsMessage<InputError>(HasSubstr("the nearest key is 'num_train_epochs'")));
  EXPECT_THAT([&] { GenerationModelTrainer("no-such-folder", true); },
              ThrowsMessage<InputError>(HasSubstr("no-such-folder")));
  GenerationModelTrainer trainer(TrainedModel::create(t5_, 1));
  EXPECT_THROW(trainer.train_model({}), InputError);
  EXPECT_FALSE(fs::exists(folder_ / "result"));
}

TEST_F(GenerationModelTrainerTest, HasEncoderMustAgreeWithTheModel) {
  TrainedModel::create(t5_, 1).save(folder_ / "model");
  EXPECT_THROW(GenerationModelTrainer((folder_ / "model").string(), false), InputError);
}

TEST_F(GenerationModelTrainerTest, OneRowCannotBeSplit) {
  GenerationModelTrainer trainer(TrainedModel::create(t5_, 1), 32);
  EXPECT_THAT(
      [&] {
        trainer.train_model({rows(1)}, {{"output_dir", (folder_ / "result").string()}});
      },
      ThrowsMessage<InputError>(HasSubstr("1 training row cannot be split")));
}

TEST_F(GenerationModelTrainerTest, AnotherRunsResultsAreKept) {
  train(t5_, 4, {});
  const std::string weights = core::read_file(folder_ / "result" / "model.safetensors");
  EXPECT_THAT(
      [&] {
        train(t5_, 4, {{"seed", 3}});
      },
      ThrowsMessage<InputError>(HasSubstr("overwrite_output_dir: true")));
  EXPECT_EQ(core::read_file(folder_ / "result" / "model.safetensors"), weights);
}

TEST_F(GenerationModelTrainerTest, TheReturnedModelTrainsFurther) {
  const TrainedModel first = train(t5_, 10, {{"learning_rate", 1e-2}});
  const double last_loss = metrics("step").back()["loss"];
  GenerationModelTrainer further(first, 32);
  further.train_model({rows(10), rows(2)}, {{"output_dir", (folder_ / "further").string()}, {"max_steps", 1}});
  std::istringstream lines(core::read_file(folder_ / "further" / "metrics.jsonl"));
  std::string line;
  std::getline(lines, line);
  EXPECT_LT(Json::parse(line)["loss"].get<double>(), 1.3 * last_loss);
}

TEST_F(GenerationModelTrainerTest, WithLoraTheAdapterAloneIsTrainedAndSaved) {
  TrainedModel::create(gpt2_, 1).save(folder_ / "base");
  const TrainedModel base = TrainedModel::load(folder_ / "base");
  std::map<std::string, at::Tensor> weights;
  for (const auto& item : base.model->named_parameters()) weights.emplace(item.key(), item.value().clone());
  GenerationModelTrainer trainer(base, 32);
  const std::string result = (folder_ / "result").string();
  const TrainedModel trained =
      trainer.train_model({rows(10)}, {{"output_dir", result},
                                       {"max_steps", 3},
                                       {"learning_rate", 0.1},
                                       {"peft_type", "lora"},
                                       {"lora_r", 2},
                                       {"lora_target_modules", std::vector<std::string>{"c_attn", "c_fc"}}});

  std::vector<sharding::NamedParameter> parameters;
  std::int64_t adapter = 0;
  for (const auto& item : trained.model->named_parameters()) {
    parameters.push_back({item.key(), item.value()});
    if (const auto own = weights.find(item.key()); own != weights.end()) {
      EXPECT_TRUE(item.value().equal(own->second)) << item.key();
      EXPECT_FALSE(item.value().grad().defined()) << item.key();
    } else {
      adapter += item.value().numel();
    }
  }
  std::int64_t laid_out = 0;  // gradients, reducer and optimizer state follow the layout
  const sharding::ParameterLayout layout(parameters);
  for (const auto& entry : layout.entries()) laid_out += entry.parameter.numel();
  EXPECT_EQ(laid_out, adapter);
  EXPECT_GT(adapter, 0);

  EXPECT_FALSE(fs::exists(folder_ / "result" / "model.safetensors"));
  const auto answers = trained.generate({"walk"}, {.max_new_tokens = 6});
  EXPECT_EQ(TrainedModel::load(result).generate({"walk"}, {.max_new_tokens = 6}), answers);
  EXPECT_THAT(
      [&] {
        trainer.train_model({rows(10)}, {{"output_dir", (folder_ / "further").string()}});
      },
      ThrowsMessage<InputError>(HasSubstr("lockstep merge")));
}

TEST_F(GenerationModelTrainerTest, ALoraAdapterNeedsABaseThatIsSaved) {
  EXPECT_THAT([&] { train(gpt2_, 10, {{"peft_type", "lora"}}); }, ThrowsMessage<InputError>(HasSubstr("from_scratch")));
}

}  // namespace
}  // namespace lockstep::train
