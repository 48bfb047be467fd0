#include "lockstep/data/tokenize_datasets.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sstream>

#include "core/captured_log.h"
#include "data/fixtures.h"

namespace lockstep::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct RecordingSink final : ExampleSink {
  std::vector<Example> examples;
  std::vector<std::uint64_t> shards;  // one per example
  std::optional<std::uint64_t> unwanted;
  bool wants(std::uint64_t shard) override { return shard != unwanted; }
  void add(std::uint64_t shard, TokenizedRow row) override {
    if (row.dropped != nullptr) return;
    examples.push_back(row.result.example);
    shards.push_back(shard);
  }
};

ExampleBuilder builder(bool has_encoder, std::optional<std::size_t> limit = std::nullopt, bool adds_bos = false) {
  return {std::make_shared<test::ByteTokenizer>(adds_bos), has_encoder, limit};
}

TokenizeOptions options() { return {.name = "training", .vocabulary_size = 300}; }

TokenizationReport tokenize(const std::vector<Dataset>& datasets, const ExampleBuilder& builder, ExampleSink& sink,
                            const TokenizeOptions& options, std::size_t workers = 1) {
  core::WorkerPool pool(workers);
  return tokenize_datasets(datasets, builder, sink, options, pool);
}

Dataset numbered(int rows) {
  std::vector<std::string> inputs, outputs;
  for (int i = 0; i < rows; ++i) {
    inputs.push_back("in " + std::to_string(i));
    outputs.push_back("out " + std::to_string(i));
  }
  return Dataset::from_columns(inputs, outputs);
}

TEST(TokenizeDatasets, KeepsTheOrderOfAllDatasetsForAnyNumberOfWorkers) {
  for (const std::size_t workers : {1, 2, 7}) {
    RecordingSink sink;
    const auto report = tokenize({numbered(3000), numbered(1)}, builder(true), sink, options(), workers);
    ASSERT_EQ(sink.examples.size(), 3001U);
    for (std::size_t i = 0; i < 3000; ++i) {
      auto expected = test::bytes("in " + std::to_string(i));
      expected.push_back(test::ByteTokenizer::kEos);
      ASSERT_EQ(sink.examples[i].input, expected);
    }
    EXPECT_EQ(report.read.dataset_rows, (std::vector<std::uint64_t>{3000, 1}));
    EXPECT_EQ(report.read.rows, 3001U);
    EXPECT_EQ(report.input_lengths.max(), 8U);
  }
}

TEST(TokenizeDatasets, WarnsOnceAKindWithCounts) {
  const test::CapturedLog log;
  RecordingSink sink;
  const auto data = Dataset::from_columns({"abcdefgh", "abcdefgh", "a", "", "b"}, {"x", "abcdefghi", "", "", "x"});
  const auto report = tokenize({data}, builder(true, 4), sink, options());
  check_report(report, builder(true, 4), "training");
  EXPECT_EQ(report.truncated_inputs, 2U);
  EXPECT_EQ(report.truncated_targets, 1U);
  EXPECT_EQ(report.empty_outputs, 1U);
  EXPECT_EQ(report.dropped_rows(), 1U);
  EXPECT_EQ(report.examples, 4U);
  EXPECT_EQ(report.read.rows, 5U);
  EXPECT_EQ(report.input_tokens, 4U + 4 + 2 + 2);
  EXPECT_EQ(report.target_tokens, 2U + 4 + 1 + 2);
  EXPECT_THAT(log.text(), AllOf(HasSubstr("2 of 4 inputs"), HasSubstr("1 of 4 outputs were too long"),
                                HasSubstr("1 of 4 outputs are empty"), HasSubstr("1 of 5 rows were dropped")));
  const std::string text = log.text();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);
}

TEST(TokenizeDatasets, IsSilentWithoutReason) {
  const test::CapturedLog log;
  RecordingSink sink;
  check_report(tokenize({numbered(10)}, builder(false, 100), sink, options()), builder(false, 100), "training");
  EXPECT_EQ(log.text(), "");
}

TEST(TokenizeDatasets, DropsDecoderOnlyRowsWithoutInput) {
  const test::CapturedLog log;
  const auto data = Dataset::from_columns({"", "a"}, {"x", "y"});
  RecordingSink without_bos, with_bos, encoder;
  EXPECT_EQ(tokenize({data}, builder(false), without_bos, options()).dropped_rows(), 1U);
  EXPECT_EQ(tokenize({data}, builder(false, std::nullopt, true), with_bos, options()).dropped_rows(), 0U);
  EXPECT_EQ(tokenize({data}, builder(true), encoder, options()).dropped_rows(), 0U);
  EXPECT_EQ(without_bos.examples.size(), 1U);
  EXPECT_EQ(with_bos.examples.size(), 2U);
}

TEST(TokenizeDatasets, RefusesDatasetsWithoutRowsOrExamples) {
  const test::CapturedLog log;
  const test::TemporaryFolder folder;
  RecordingSink sink;
  const auto empty = Dataset::from_file(folder.write("empty.jsonl", "\n"));
  EXPECT_THAT(test::input_error([&] {
                tokenize({numbered(3), empty}, builder(true), sink, options());
              }),
              AllOf(HasSubstr("empty.jsonl"), HasSubstr("at least one row")));
  EXPECT_THAT(test::input_error([&] { tokenize({}, builder(true), sink, options()); }), HasSubstr("training"));
  const auto blank = Dataset::from_columns({"", ""}, {"", ""});
  EXPECT_THAT(test::input_error([&] { tokenize_in_memory({blank}, builder(true), options()); }),
              HasSubstr("all 2 rows were dropped"));
}

TEST(TokenizeDatasets, RefusesAVocabularyBeyondTheEmbedding) {
  RecordingSink sink;
  TokenizeOptions small = options();
  small.vocabulary_size = 100;
  EXPECT_THAT(test::input_error([&] { tokenize({numbered(3)}, builder(true), sink, small, 2); }),
              AllOf(HasSubstr("100"), HasSubstr("259")));
  EXPECT_TRUE(sink.examples.empty());
}

TEST(TokenizeDatasets, NamesTheRowOfATokenBeyondTheEmbedding) {
  RecordingSink sink;
  const auto data = Dataset::from_columns({"a", "b~"}, {"x", "y"});
  EXPECT_THAT(test::input_error([&] { tokenize({data}, builder(true), sink, options()); }),
              AllOf(HasSubstr("row 2"), HasSubstr("70000"), HasSubstr("300")));
}

TEST(TokenizeDatasets, ReportsTheFirstBadRowWhateverTheNumberOfWorkers) {
  const test::TemporaryFolder folder;
  std::string lines;
  for (int i = 0; i < 4000; ++i) {
    lines += fmt::format("{{\"model_input\": \"{}\", \"model_output\": \"x\"}}\n", i == 700 || i == 900 ? "~" : "a");
  }
  const auto data = Dataset::from_file(folder.write("rows.jsonl", lines + "{\n"));
  for (const std::size_t workers : {1, 2, 16, 64}) {
    RecordingSink sink;
    EXPECT_THAT(test::input_error([&] { tokenize({data}, builder(true), sink, options(), workers); }),
                HasSubstr("rows.jsonl: line 701: "));
  }
}

TEST(TokenizeDatasets, PassesOnWhatTheSinkThrows) {
  struct FullDisk final : ExampleSink {
    bool wants(std::uint64_t) override { return true; }
    void add(std::uint64_t, TokenizedRow) override { throw Error("disk full"); }
  } sink;
  EXPECT_THROW(tokenize({numbered(5000)}, builder(true), sink, options(), 3), Error);
}

TEST(TokenizeDatasets, CutsShardsByTheTextOfTheRows) {
  TokenizeOptions small = options();
  small.shard_text_bytes = 5 * (9 + 16);  // five rows of 9 bytes, then four of 11
  RecordingSink sink;
  tokenize({numbered(1000)}, builder(true), sink, small, 2);
  ASSERT_EQ(sink.shards.size(), 1000U);
  EXPECT_EQ(std::count(sink.shards.begin(), sink.shards.end(), 0U), 5);
  EXPECT_EQ(std::count(sink.shards.begin(), sink.shards.end(), 4U), 4);
  EXPECT_TRUE(std::is_sorted(sink.shards.begin(), sink.shards.end()));
}

TEST(TokenizeDatasets, LeavesOutTheRowsThatTheSinkDoesNotWant) {
  TokenizeOptions small = options();
  small.shard_text_bytes = 125;
  RecordingSink all, some;
  some.unwanted = 1;
  tokenize({numbered(100)}, builder(true), all, small, 2);
  const auto report = tokenize({numbered(100)}, builder(true), some, small, 2);
  std::vector<Example> expected;
  for (std::size_t i = 0; i < 100; ++i) {
    if (all.shards[i] != 1) expected.push_back(all.examples[i]);
  }
  EXPECT_EQ(some.examples, expected);
  EXPECT_EQ(report.read.rows, 100U);
  EXPECT_EQ(report.examples, expected.size());
}

TEST(TokenizeDatasets, NamesTheFirstRowsOfEachKind) {
  const test::CapturedLog log;
  RecordingSink sink;
  std::vector<std::string> inputs(20, "abcdefgh");
  inputs[2] = "ab";
  const auto data = Dataset::from_columns(inputs, std::vector<std::string>(20, "x"));
  const auto report = tokenize({data}, builder(true, 4), sink, options(), 3);
  EXPECT_THAT(report.first_rows.at("truncated_inputs"),
              testing::ElementsAre(HasSubstr("row 1"), HasSubstr("row 2"), HasSubstr("row 4"), HasSubstr("row 5"),
                                   HasSubstr("row 6")));
  EXPECT_EQ(report.read.duplicates, 18U);
  EXPECT_THAT(report.read.first_duplicates.front(), HasSubstr("row 2"));
}

TEST(TokenizeDatasets, CountsAndOnDemandDropsDuplicates) {
  const test::CapturedLog log;
  const auto data = Dataset::from_columns({"a", "ab", "a", "a", "ab"}, {"bc", "c", "bc", "b", "c"});
  RecordingSink all, distinct;
  EXPECT_EQ(tokenize({data}, builder(true), all, options()).read.duplicates, 2U);
  EXPECT_EQ(all.examples.size(), 5U);
  TokenizeOptions deduplicating = options();
  deduplicating.selection.deduplicate = true;
  const auto report = tokenize({data, data}, builder(true), distinct, deduplicating);
  EXPECT_EQ(report.read.duplicates, 7U);
  EXPECT_EQ(report.dropped_rows(), 7U);
  all.examples.erase(all.examples.begin() + 2);
  all.examples.pop_back();
  EXPECT_EQ(distinct.examples, all.examples);
}

TEST(TokenizeInMemory, HoldsTheExamples) {
  const auto dataset = tokenize_in_memory({numbered(2)}, builder(false), options());
  EXPECT_EQ(dataset->size(), 2U);
  EXPECT_FALSE(dataset->has_encoder());
  EXPECT_EQ(dataset->read(1).input, test::bytes("in 1"));
  EXPECT_EQ(dataset->input_length(1), 4U);
  EXPECT_EQ(dataset->target_length(1), 6U);
  EXPECT_EQ(dataset->tokenizer_digest(), std::string(64, 'd'));
}

TEST(LengthHistogram, GivesExactPercentiles) {
  LengthHistogram lengths;
  EXPECT_EQ(lengths.percentile(0.5), 0U);
  for (std::uint32_t i = 1; i <= 100; ++i) lengths.add(i);
  EXPECT_EQ(lengths.percentile(0.50), 50U);
  EXPECT_EQ(lengths.percentile(0.99), 99U);
  EXPECT_EQ(lengths.percentile(1), 100U);
  EXPECT_EQ(lengths.max(), 100U);
}

}  // namespace
}  // namespace lockstep::data
