#include "lockstep/job/job_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>
#include <cstdlib>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"

namespace lockstep::job {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

class JobFileTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  JobFile load(const std::string& text, const std::vector<std::string>& overrides = {}) const {
    core::write_file(path_, text);
    return load_job_file(path_, overrides);
  }

  static constexpr auto kMinimal = "pretrained_model_name: m\nhas_encoder: true\n";
  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("job_file_test_" + std::to_string(::getpid()) + ".yaml");
};

TEST_F(JobFileTest, ReadsKeysListsAndOverrides) {
  const JobFile job = load(std::string(kMinimal) +
                               "training_datasets: [a.jsonl, b.csv]\nlearning_rate: 1e-4\n"
                               "evaluation_strategy: no\nmodel_max_length: none\n",
                           {"learning_rate=2e-3", "validation_datasets=[v.jsonl]", "model_max_length=64"});
  EXPECT_TRUE(job.has_encoder);
  EXPECT_THAT(job.training_datasets, ElementsAre("a.jsonl", "b.csv"));
  EXPECT_THAT(job.validation_datasets, ElementsAre("v.jsonl"));
  EXPECT_EQ(job.hyperparameters.learning_rate, 2e-3);
  EXPECT_EQ(job.hyperparameters.evaluation_strategy, EvaluationStrategy::kNo);
  EXPECT_EQ(job.model_max_length, 64);
}

TEST_F(JobFileTest, TemplatesKeepTheirBracesAndNewlines) {
  const JobFile job = load(std::string(kMinimal) +
                               "prompt_template: \"Q: {question}\\nA: \"\nresponse_template: |\n  {{{answer}}}\n  end\n"
                               "input_contains_output: true\n",
                           {"output_column=reply"});
  EXPECT_EQ(job.prompt_template, "Q: {question}\nA: ");
  EXPECT_EQ(job.response_template, "{{{answer}}}\nend\n");
  EXPECT_EQ(job.input_contains_output, InputContainsOutput::kYes);
  EXPECT_EQ(job.input_column, "model_input");
  EXPECT_EQ(job.output_column, "reply");
  EXPECT_THAT([&] { load(std::string(kMinimal) + "prompt_template: {question}\n"); },
              ThrowsMessage<InputError>(
                  HasSubstr("line 3: prompt_template: expected a value or a list, found a mapping; quote text")));
  EXPECT_THAT(
      [&] { load(std::string(kMinimal) + "input_contains_output: maybe\n"); },
      ThrowsMessage<InputError>(HasSubstr("line 3: input_contains_output: expected one of: auto, true, false")));
}

TEST_F(JobFileTest, ItsTextIsAJobFileOfTheSameJob) {
  EXPECT_EQ(load(kMinimal).to_text(), "pretrained_model_name: \"m\"\nhas_encoder: true\n");
  const JobFile job = load("pretrained_model_name: true\nhas_encoder: false\nmodel_max_length: 64\n",
                           {"training_datasets=['a, b.jsonl', c]", "prompt_template='Q: {x}\n\"\\ä'",
                            "learning_rate=1e-5", "logging_dir='no: log'", "overwrite_output_dir=true"});
  const JobFile again = load(job.to_text());
  EXPECT_EQ(again.to_text(), job.to_text());
  EXPECT_EQ(again.pretrained_model_name, "true");
  EXPECT_THAT(again.training_datasets, ElementsAre("a, b.jsonl", "c"));
  EXPECT_EQ(again.prompt_template, job.prompt_template);
  EXPECT_EQ(again.model_max_length, 64);
  EXPECT_EQ(again.hyperparameters, job.hyperparameters);
}

TEST_F(JobFileTest, ValuesAreThoseOfAllKeys) {
  const auto values = load(kMinimal, {"learning_rate=2e-4", "training_datasets=[a]"}).values();
  EXPECT_THAT(values, testing::IsSupersetOf({std::pair<std::string, std::string>("has_encoder", "true"),
                                             {"pretrained_model_name", "\"m\""},
                                             {"training_datasets", "[\"a\"]"},
                                             {"learning_rate", "0.0002"},
                                             {"max_skipped_steps", "3"},
                                             {"global_batch_size", "none"}}));
}

TEST_F(JobFileTest, DefaultsAreReadAsTheyAreWritten) {
  std::string text;
  for (const auto& [key, value] : JobFile().values()) {
    text += key + ": " + (key == "pretrained_model_name" ? "m" : value) + "\n";
  }
  EXPECT_EQ(load(text).values(), load("pretrained_model_name: m\nhas_encoder: false\n").values());
}

TEST_F(JobFileTest, NoPartIsLeftOut) {
  const auto fails = [&](const std::string& lines, const std::string& message,
                         const std::vector<std::string>& more = {}) {
    EXPECT_THAT([&] { load(kMinimal + lines, more); }, ThrowsMessage<InputError>(HasSubstr(message))) << lines;
  };
  fails("---\nseed: 3\n", "line 3: expected one YAML document, found another");
  fails("...\nseed: 3\n", "expected one YAML document, found another");
  fails("output_dir:\nnum_workers: 1\n", "line 3: output_dir: expected a value, found none");
  fails("seed: # later\n", "line 3: seed: expected a value, found none");
  fails("model_max_length:\n", "line 3: model_max_length: expected a value, found none");
  fails("training_datasets:\nnull: 1\n", "line 3: training_datasets: expected a value, found none");
  fails("training_datasets: [a, ~]\n", "expected a list of plain values");
  fails("seed: !!str 3\n", "line 3: seed: expected a value without a tag");
  fails("training_datasets: [!x a]\n", "without a tag, found the tag !x");
  fails("<<: {seed: 3}\n", "line 3: unknown key '<<'");
  fails("", "expected a value, found none", {"output_dir="});
  fails("", "key 'seed' is given twice", {"seed=1", "seed=2"});
  fails("", "without a comment", {"output_dir=runs/a #1"});
  fails("", "expected one YAML document", {"seed=1\n---\n2"});
}

TEST_F(JobFileTest, NoneIsLegalOnlyWhereAKeyMayBeUnset) {
  for (const std::string none : {"none", "None", "null", "~"}) {
    const JobFile job =
        load(fmt::format("{}model_max_length: {}\nlogging_dir: {}\nvalidation_datasets: {}\nlora_target_modules: {}\n",
                         kMinimal, none, none, none, none));
    EXPECT_FALSE(job.model_max_length || job.hyperparameters.logging_dir) << none;
    EXPECT_TRUE(job.validation_datasets.empty() && job.hyperparameters.lora_target_modules.empty()) << none;
    for (const std::string key :
         {"output_dir", "prepared_dir", "input_column", "resume_from_checkpoint", "max_shard_size"}) {
      EXPECT_THAT(
          [&] { load(fmt::format("{}{}: {}\n", kMinimal, key, none)); },
          ThrowsMessage<InputError>(HasSubstr(fmt::format("line 3: {}: expected a text: remove the key", key))));
    }
  }
  EXPECT_EQ(load(kMinimal, {"output_dir='none'"}).hyperparameters.output_dir, "none");
  EXPECT_EQ(load(kMinimal, {"peft_type=none"}).hyperparameters.peft_type, PeftType::kNone);
}

TEST_F(JobFileTest, TruthIsSpelledAsInYaml11) {
  for (const std::string yes : {"true", "True", "TRUE", "yes", "Yes", "on"}) {
    const JobFile job =
        load(fmt::format("pretrained_model_name: m\nhas_encoder: {}\ninput_contains_output: {}\n", yes, yes));
    EXPECT_TRUE(job.has_encoder) << yes;
    EXPECT_EQ(job.input_contains_output, InputContainsOutput::kYes) << yes;
  }
  for (const std::string no : {"false", "False", "no", "No", "OFF"}) {
    const JobFile job =
        load(fmt::format("pretrained_model_name: m\nhas_encoder: {}\nevaluation_strategy: {}\n", no, no));
    EXPECT_FALSE(job.has_encoder) << no;
    EXPECT_EQ(job.hyperparameters.evaluation_strategy, EvaluationStrategy::kNo) << no;
  }
  EXPECT_THAT([&] { load(kMinimal, {"seed=010"}); },
              ThrowsMessage<InputError>(HasSubstr("a whole number, found '010'")));
}

TEST_F(JobFileTest, PathsBeginWithTheHomeFolderInPlaceOfATilde) {
  const std::string home = std::getenv("HOME");
  const JobFile job = load(std::string(kMinimal) + "output_dir: ~/runs\ntraining_datasets: [~/a.jsonl]\n",
                           {"logging_dir=~/log", "prepared_dir=~/p"});
  EXPECT_EQ(job.hyperparameters.output_dir, home + "/runs");
  EXPECT_EQ(job.hyperparameters.logging_dir, home + "/log");
  EXPECT_EQ(job.prepared_dir, home + "/p");
  EXPECT_THAT(job.training_datasets, ElementsAre(home + "/a.jsonl"));
  EXPECT_THAT([&] { load(kMinimal, {"output_dir=~me/runs"}); },
              ThrowsMessage<InputError>(HasSubstr("output_dir: ~me/runs: ")));
  EXPECT_EQ(load(kMinimal, {"output_dir=./~me"}).hyperparameters.output_dir, "./~me");
}

TEST_F(JobFileTest, UnknownKeyNamesFileLineAndNearest) {
  EXPECT_THAT([&] { load(std::string(kMinimal) + "\nlearningrate: 1\n"); },
              ThrowsMessage<InputError>(HasSubstr(
                  path_.string() + ": line 4: unknown key 'learningrate'; the nearest key is 'learning_rate'")));
  EXPECT_THAT([&] { load(kMinimal, {"has_encodr=true"}); },
              ThrowsMessage<InputError>(HasSubstr("command line: 'has_encodr=true': unknown key 'has_encodr'")));
}

TEST_F(JobFileTest, WrongTypeNamesLineAndKey) {
  EXPECT_THAT([&] { load(std::string(kMinimal) + "seed: 1.5\n"); },
              ThrowsMessage<InputError>(HasSubstr("line 3: seed: expected a whole number, found '1.5'")));
  EXPECT_THAT([&] { load("pretrained_model_name: m\nhas_encoder: maybe\n"); },
              ThrowsMessage<InputError>(HasSubstr("line 2: has_encoder: expected true or false, found 'maybe'")));
}

TEST_F(JobFileTest, RequiredKeysAndDuplicates) {
  EXPECT_THAT([&] { load("has_encoder: true\n"); },
              ThrowsMessage<InputError>(HasSubstr("pretrained_model_name is missing")));
  EXPECT_THAT([&] { load("pretrained_model_name: m\n"); },
              ThrowsMessage<InputError>(HasSubstr("has_encoder is missing")));
  EXPECT_THAT([&] { load(std::string(kMinimal) + "has_encoder: false\n"); },
              ThrowsMessage<InputError>(HasSubstr("line 3: key 'has_encoder' is given twice")));
}

TEST_F(JobFileTest, MalformedFilesAreNamed) {
  EXPECT_THAT([&] { load("a: [1, 2\nb: 3\n"); }, ThrowsMessage<InputError>(HasSubstr("not valid YAML")));
  EXPECT_THAT([&] { load("just a text\n"); }, ThrowsMessage<InputError>(HasSubstr("expected 'key: value' lines")));
  EXPECT_THAT([&] { load(kMinimal, {"seed"}); }, ThrowsMessage<InputError>(HasSubstr("expected key=value")));
  EXPECT_THAT([] { load_job_file("absent.yaml", {}); },
              ThrowsMessage<InputError>(HasSubstr("absent.yaml: cannot open")));
}

TEST_F(JobFileTest, EveryKeyIsDescribed) {
  EXPECT_THAT(describe_job_keys(), HasSubstr("per_device_train_batch_size"));
  EXPECT_THAT(describe_job_keys(), HasSubstr("prepared_dir"));
}

}  // namespace
}  // namespace lockstep::job
