#include "lockstep/data/job_sets.h"

#include <gmock/gmock.h>

#include "data/fixtures.h"

namespace lockstep::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kLine = "{\"model_input\": \"a\", \"model_output\": \"b\"}\n";

job::JobFile job_of(std::vector<std::string> training, std::vector<std::string> validation = {}) {
  job::JobFile job;
  job.training_datasets = std::move(training);
  job.validation_datasets = std::move(validation);
  return job;
}

TEST(JobSets, AreTrainingAndWhatTheJobHasForValidation) {
  const auto alone = sets_of(job_of({"a"}));
  ASSERT_EQ(alone.size(), 1U);
  EXPECT_EQ(alone[0].folder, "train");
  EXPECT_EQ(alone[0].part, RowSelection::Part::kAll);

  const auto given = sets_of(job_of({"a"}, {"v"}));
  ASSERT_EQ(given.size(), 2U);
  EXPECT_EQ(given[1].folder, "validation");
  EXPECT_EQ(given[1].locations, std::vector<std::string>{"v"});
  EXPECT_EQ(given[1].part, RowSelection::Part::kAll);

  job::JobFile split = job_of({"a"});
  split.validation_split = 0.25;
  const auto parts = sets_of(split);
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0].part, RowSelection::Part::kTraining);
  EXPECT_EQ(parts[1].part, RowSelection::Part::kValidation);
  EXPECT_EQ(parts[1].locations, std::vector<std::string>{"a"});
}

TEST(JobSets, RefuseNoTrainingAndTwoKindsOfValidation) {
  EXPECT_THAT(test::input_error([] { sets_of(job_of({})); }), HasSubstr("training_datasets"));
  job::JobFile both = job_of({"a"}, {"v"});
  both.validation_split = 0.25;
  EXPECT_THAT(test::input_error([&] { sets_of(both); }),
              AllOf(HasSubstr("validation_split"), HasSubstr("validation_datasets"), HasSubstr("0.25")));
}

TEST(JobSets, FindTheirDatasetsInOrder) {
  const test::TemporaryFolder folder;
  const auto first = folder.write("x1.jsonl", kLine), second = folder.write("x2.jsonl", kLine);
  const auto other = folder.write("a.jsonl", kLine);
  const job::JobFile job = job_of({(folder.path() / "x*.jsonl").string(), other.string()});
  std::vector<std::string> names;
  for (const auto& dataset : find_datasets(job, sets_of(job)[0])) names.push_back(dataset.name());
  EXPECT_EQ(names, (std::vector<std::string>{first.string(), second.string(), other.string()}));
  const job::JobFile missing = job_of({(folder.path() / "none.jsonl").string()});
  EXPECT_THAT(test::input_error([&] { find_datasets(missing, sets_of(missing)[0]); }), HasSubstr("none.jsonl"));
}

TEST(JobSets, DatasetsThatDoNotExistAreComparedByTheirNames) {
  const auto names = [](const std::vector<std::string>& locations, const std::vector<std::string>& prepared) {
    const job::JobFile job = job_of(locations);
    std::vector<SourceEntry> sources;
    for (const auto& path : prepared) sources.push_back({path, "", 1});
    return names_sources(job, sets_of(job)[0], sources);
  };
  EXPECT_TRUE(names({"gone/a.jsonl", "gone/b.csv"}, {"gone/a.jsonl", "gone/b.csv"}));
  EXPECT_FALSE(names({"missing.jsonl"}, {"gone/a.jsonl"}));
  EXPECT_FALSE(names({"gone/a.jsonl"}, {"gone/a.jsonl", "gone/b.csv"}));
  EXPECT_FALSE(names({"gone/a.jsonl", "gone/b.csv"}, {"gone/a.jsonl"}));
  EXPECT_FALSE(names({"gone/b.csv", "gone/a.jsonl"}, {"gone/a.jsonl", "gone/b.csv"}));
  EXPECT_TRUE(names({"gone/*.jsonl", "gone/c.csv"}, {"gone/a.jsonl", "gone/b.jsonl", "gone/c.csv"}));
  EXPECT_TRUE(names({"gone/**/*.jsonl"}, {"gone/a.jsonl", "gone/x/y/b.jsonl"}));
  EXPECT_FALSE(names({"gone/*.jsonl"}, {"gone/a.jsonl", "gone/x/b.jsonl"}));
  EXPECT_TRUE(names({"gone/saved"}, {"gone/saved:train"}));
  EXPECT_FALSE(names({"gone/saved"}, {"gone/saved:test"}));
}

TEST(JobSets, DescribeWhatTheJobNeeds) {
  job::JobFile job = job_of({"a"});
  job.prompt_template = "Q: {model_input}";
  job.validation_split = 0.25;
  job.deduplicate = true;
  ModelFolder model;
  model.vocabulary_size = 300;
  const auto sets = sets_of(job);
  const Manifest training = describe_set(job, sets[0], model, test::ByteTokenizer(), 64);
  EXPECT_EQ(training.row_format.prompt_template, "Q: {model_input}");
  EXPECT_EQ(training.model_max_length, 64U);
  EXPECT_EQ(training.vocabulary_size, 300U);
  EXPECT_EQ(training.selection, (RowSelection{true, 0.25, RowSelection::Part::kTraining}));
  const Manifest validation = describe_set(job, sets[1], model, test::ByteTokenizer(), 64);
  EXPECT_EQ(validation.selection.part, RowSelection::Part::kValidation);
  EXPECT_NE(training.difference_of_settings(describe_set(job_of({"a"}), sets[0], model, test::ByteTokenizer(), 64)),
            "");
  EXPECT_EQ(training.difference_of_settings(describe_set(job, sets[0], model, test::ByteTokenizer(), 64)), "");
}

}  // namespace
}  // namespace lockstep::data
