#include "lockstep/train/model_card.h"

#include <gmock/gmock.h>
#include <unistd.h>
#include <filesystem>
#include <limits>

namespace lockstep::train {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// A card of one epoch, whose hyperparameters are the defaults.
struct ExampleCard {
  models::ModelInfo model = [] {
    models::ModelInfo info;
    info.model_type = "llama";
    info.architecture = "LlamaForCausalLM";
    return info;
  }();
  ModelCard card{.model = model,
                 .global_batch_size = 8,
                 .training = {.rows = 20, .input_tokens = 100, .target_tokens = 60},
                 .epochs = {{.epoch = 1, .step = 3, .loss = 2.5, .eval_loss = 2.25}}};
};

TEST(ModelCard, TheFrontMatterSaysWhatOpensTheModel) {
  ExampleCard of;
  EXPECT_THAT(to_markdown(of.card), StartsWith("---\nlibrary_name: transformers\npipeline_tag: text-generation\n"
                                               "tags:\n- lockstep\n- llama\n---\n"));
  of.model.has_encoder = true;
  of.model.model_type = "t5";
  of.card.library_name = "peft";
  EXPECT_THAT(to_markdown(of.card), StartsWith("---\nlibrary_name: peft\npipeline_tag: text2text-generation\n"
                                               "tags:\n- lockstep\n- t5\n---\n"));
}

TEST(ModelCard, OnlyAModelOfTheHubIsABaseModel) {
  ExampleCard of;
  of.model.origin = "some/name@main";
  EXPECT_THAT(to_markdown(of.card), StartsWith("---\nbase_model: \"some/name\"\n"));
  of.model.origin = testing::TempDir();
  EXPECT_THAT(to_markdown(of.card), Not(HasSubstr("base_model")));
}

TEST(ModelCard, TellsWhatTheModelWasMadeFrom) {
  ExampleCard of;
  EXPECT_THAT(to_markdown(of.card), HasSubstr("A GPT-type model (`LlamaForCausalLM`), fine-tuned by Lockstep.\n"));
  of.card.origin.model = testing::TempDir();
  EXPECT_THAT(to_markdown(of.card), HasSubstr("fine-tuned by Lockstep from `" + testing::TempDir() + "`.\n"));
  of.card.origin = {.model = "some/name", .from_scratch = true};
  EXPECT_THAT(to_markdown(of.card),
              HasSubstr("trained by Lockstep from random weights, with the configuration and tokenizer "
                        "of [some/name](https://huggingface.co/some/name).\n"));
}

TEST(ModelCard, ItsLinesOpenAnAdapterWithPeft) {
  ExampleCard of;
  of.card.hyperparameters.output_dir = "results/my \"model\"/";
  EXPECT_THAT(to_markdown(of.card), HasSubstr("from transformers import AutoModelForCausalLM\n"));
  of.card.library_name = "peft";
  const std::string text = to_markdown(of.card);
  EXPECT_THAT(text, HasSubstr("from peft import AutoPeftModelForCausalLM\n"));
  EXPECT_THAT(text, HasSubstr("with a LoRA adapter"));
  EXPECT_THAT(text, HasSubstr("folder = \"my \\\"model\\\"\"  # this one\n"))
      << "the last folder of output_dir, quoted";
}

TEST(ModelCard, ALossThatIsNoneIsADash) {
  ExampleCard of;
  of.card.epochs = {
      {.epoch = 0.5, .step = 2, .loss = std::numeric_limits<double>::quiet_NaN(), .eval_loss = 1.5, .skipped_steps = 2},
      {.epoch = 1, .step = 4, .loss = 1.25, .eval_loss = std::nullopt, .skipped_steps = 1}};
  const std::string text = to_markdown(of.card);
  EXPECT_THAT(text, HasSubstr("| 0.5 | 2 | - | 1.5000 |\n| 1 | 4 | 1.2500 | - |\n"));
  EXPECT_THAT(text, HasSubstr("At the end: training loss 1.2500.\n"));
  EXPECT_THAT(text, HasSubstr("were not finite: 3.\n"));
  EXPECT_THAT(to_markdown(ExampleCard{}.card), Not(HasSubstr("not finite")));
}

TEST(ModelCard, CountsTheRowsOfBothSets) {
  ExampleCard of;
  data::ExampleOrigin origin{.datasets = {"a.jsonl", "b.csv"}, .report = {}};
  origin.report.read.rows = 30;
  origin.report.truncated_inputs = 4;
  of.card.training.origin = origin;
  of.card.validation = SetSummary{.rows = 5, .input_tokens = 7, .target_tokens = 6};
  of.card.validation_set_apart = true;
  of.card.hyperparameters.test_size = 0.2;
  const std::string text = to_markdown(of.card);
  EXPECT_THAT(text,
              HasSubstr("- training: `a.jsonl`, `b.csv`\n- validation: set apart from these rows, by test_size 0.2\n"));
  EXPECT_THAT(text, HasSubstr("| rows in the datasets | 30 | - |\n"));
  EXPECT_THAT(text, HasSubstr("| inputs cut | 4 | - |\n"));
  EXPECT_THAT(text, HasSubstr("| rows used | 20 | 5 |\n"));
  EXPECT_THAT(text, HasSubstr("| input tokens used | 100 | 7 |\n"));
  EXPECT_THAT(text, HasSubstr("| target tokens used | 60 | 6 |\n"));
  of.card.validation.reset();
  EXPECT_THAT(to_markdown(of.card), HasSubstr("- validation: none\n"));
}

TEST(ModelCard, NamesTheOptimizerWithWhatItTakes) {
  ExampleCard of;
  of.card.hyperparameters.weight_decay = 0.1;
  EXPECT_THAT(to_markdown(of.card),
              HasSubstr("- optimizer: AdamW, betas 0.9 and 0.999, epsilon 1e-08, weight decay 0.1\n"));
  of.card.hyperparameters.optim = job::Optim::kLion;
  EXPECT_THAT(to_markdown(of.card), HasSubstr("- optimizer: Lion, betas 0.9 and 0.999, weight decay 0.1\n"));
  of.card.hyperparameters.optim = job::Optim::kAdafactor;
  EXPECT_THAT(to_markdown(of.card), HasSubstr("- optimizer: Adafactor, weight decay 0.1\n"));
}

TEST(ModelCard, TheJobIsThatOfTheRunOrWhatDiffersFromTheDefaults) {
  ExampleCard of;
  of.card.hyperparameters.seed = 7;
  EXPECT_THAT(to_markdown(of.card), HasSubstr("```yaml\n" + of.card.hyperparameters.changes() + "```\n"));
  EXPECT_THAT(of.card.hyperparameters.changes(), HasSubstr("seed: 7"));
  of.card.origin.job = "learning_rate: 1\n";
  EXPECT_THAT(to_markdown(of.card), HasSubstr("```yaml\nlearning_rate: 1\n```\n"));
}

class TwoRows final : public TokenizedDataset {
 public:
  std::uint64_t size() const override { return 2; }
  bool has_encoder() const override { return false; }
  std::uint32_t input_length(std::uint64_t index) const override { return index == 0 ? 3 : 4; }
  std::uint32_t target_length(std::uint64_t index) const override { return index == 0 ? 10 : 20; }
  data::Example read(std::uint64_t) const override { return {}; }
  const std::string& tokenizer_digest() const override { return digest_; }
  std::string content_digest() const override { return digest_; }

 private:
  std::string digest_ = "digest";
};

TEST(SetSummary, CountsWhatIsUsed) {
  const SetSummary set = SetSummary::of(TwoRows(), std::nullopt);
  EXPECT_EQ(set.rows, 2U);
  EXPECT_EQ(set.input_tokens, 7U);
  EXPECT_EQ(set.target_tokens, 30U);
}

}  // namespace
}  // namespace lockstep::train
