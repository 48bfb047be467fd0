#include <gmock/gmock.h>
#include <chrono>
#include <random>
#include <thread>

#include "fixtures.h"
#include "lockstep/core/json.h"
#include "lockstep/data/shard_reader.h"
#include "lockstep/data/shard_writer.h"

namespace lockstep::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<Example> random_examples(std::size_t count, TokenId vocabulary_size, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Example> examples(count);
  for (auto& example : examples) {
    example.input.resize(1 + random() % 20);
    example.target.resize(1 + random() % 9);
    for (auto& id : example.input) id = random() % vocabulary_size;
    for (auto& id : example.target) id = random() % vocabulary_size;
  }
  return examples;
}

Manifest write_shards(const std::filesystem::path& folder, const std::vector<Example>& examples, bool has_encoder,
                      std::uint64_t vocabulary_size, ShardOptions options = {}) {
  Manifest description;
  description.pretrained_model_name = "some/model";
  description.has_encoder = has_encoder;
  description.tokenizer_sha256 = std::string(64, 'd');
  description.vocabulary_size = vocabulary_size;
  description.sources = {{"rows.jsonl", std::string(64, 'e'), 0}};
  ShardWriter writer(folder, description, options);
  TokenizationReport report;
  for (const auto& example : examples) {
    const ExampleBuilder::Result result{example};
    report.add(result);
    writer.add(result);
  }
  report.rows = examples.size() + 1;
  report.dropped["some reason"] = 1;
  report.dataset_rows = {report.rows};
  return writer.finish(report);
}

TEST(Shards, GiveBackTheExamples) {
  for (const bool has_encoder : {true, false}) {
    for (const std::uint64_t vocabulary : {300ULL, 65535ULL, 65536ULL, 200000ULL}) {
      for (const std::uint64_t shard_bytes : {1ULL, 2000ULL, 1ULL << 20}) {
        const TemporaryFolder folder;
        const auto examples = random_examples(200, static_cast<TokenId>(vocabulary), 11);
        const auto manifest =
            write_shards(folder.path(), examples, has_encoder, vocabulary, {shard_bytes, shard_bytes > 1 ? 4 : 0});
        EXPECT_EQ(manifest.shards.size() == 1, shard_bytes > 2000);
        const auto dataset = PreparedDataset::open(folder.path(), VerifyShards::yes);
        EXPECT_EQ(dataset->manifest(), manifest);
        EXPECT_EQ(dataset->has_encoder(), has_encoder);
        EXPECT_EQ(dataset->tokenizer_digest(), manifest.tokenizer_sha256);
        ASSERT_EQ(dataset->size(), examples.size());
        for (std::size_t i = examples.size(); i-- > 0;) {
          ASSERT_EQ(dataset->read(i), examples[i]);
          ASSERT_EQ(dataset->input_length(i), examples[i].input.size());
          ASSERT_EQ(dataset->target_length(i), examples[i].target.size());
        }
        EXPECT_THROW(dataset->read(examples.size()), Error);
      }
    }
  }
}

TEST(Shards, KeepExamplesWithoutInput) {
  const TemporaryFolder folder;
  const std::vector<Example> examples{{{}, {5, 6}}, {{7}, {2}}};
  write_shards(folder.path(), examples, false, 300);
  const auto dataset = PreparedDataset::open(folder.path(), VerifyShards::yes);
  EXPECT_EQ(dataset->read(0), examples[0]);
  EXPECT_EQ(dataset->read(1), examples[1]);
}

TEST(Shards, StayWithinTheirSize) {
  const TemporaryFolder folder;
  const auto manifest = write_shards(folder.path(), random_examples(2000, 300, 3), true, 300, {4000, 0});
  ASSERT_GT(manifest.shards.size(), 10U);
  EXPECT_EQ(manifest.shards[3].name, "shard-00003-of-" +
                                         std::string(5 - std::to_string(manifest.shards.size()).size(), '0') +
                                         std::to_string(manifest.shards.size()) + ".h5");
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++files;
  EXPECT_EQ(files, manifest.shards.size() + 1);
}

TEST(Shards, HaveTheSameBytesWheneverTheyAreWritten) {
  const TemporaryFolder first, second;
  const auto examples = random_examples(500, 300, 5);
  write_shards(first.path(), examples, true, 300, {3000, 1});
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // HDF5's time stamps count seconds
  write_shards(second.path(), examples, true, 300, {3000, 1});
  for (const auto& entry : std::filesystem::directory_iterator(first.path())) {
    EXPECT_EQ(read_file(entry.path()), read_file(second.path() / entry.path().filename())) << entry.path();
  }
}

TEST(Shards, CanBeReadByManyThreads) {
  const TemporaryFolder folder;
  const auto examples = random_examples(1000, 300, 9);
  write_shards(folder.path(), examples, true, 300, {1000, 0});
  const auto dataset = PreparedDataset::open(folder.path(), VerifyShards::no);
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 2000; ++i) {
        const auto index = random() % examples.size();
        EXPECT_EQ(dataset->read(index), examples[index]);
      }
    });
  }
}

TEST(Shards, RefuseAFolderWithFiles) {
  const TemporaryFolder folder;
  folder.write("notes.txt", "mine");
  EXPECT_THAT(input_error([&] { write_shards(folder.path(), {}, true, 300); }), HasSubstr("empty folder"));
  EXPECT_EQ(read_file(folder.path() / "notes.txt"), "mine");
}

class DamagedShards : public testing::Test {
 protected:
  void SetUp() override {
    manifest_ = write_shards(folder_.path(), random_examples(300, 300, 1), true, 300, {3000, 0});
  }
  std::filesystem::path shard(std::size_t i) const { return folder_.path() / manifest_.shards[i].name; }
  std::string open_error(VerifyShards verify = VerifyShards::yes) const {
    return input_error([&] { PreparedDataset::open(folder_.path(), verify); });
  }
  void edit_manifest(const std::function<void(Json&)>& edit) const {
    Json json = read_json_file(folder_.path() / "manifest.json");
    edit(json);
    write_json_file(folder_.path() / "manifest.json", json);
  }

  TemporaryFolder folder_;
  Manifest manifest_;
};

TEST_F(DamagedShards, NameTheShardAndBothDigestsOfAFlippedBit) {
  std::string bytes = read_file(shard(1));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_file(shard(1), bytes);
  const auto message = open_error();
  EXPECT_THAT(message, AllOf(HasSubstr(shard(1).string()), HasSubstr(manifest_.shards[1].sha256)));
}

TEST_F(DamagedShards, AreNotReadEvenUnverified) {
  std::string bytes = read_file(shard(0));
  for (std::size_t i = 0; i < 64; ++i)
    bytes[bytes.size() / 2 + i] = static_cast<char>(bytes[bytes.size() / 2 + i] ^ 85);
  write_file(shard(0), bytes);
  EXPECT_THROW(PreparedDataset::open(folder_.path(), VerifyShards::no)->read(0), Error);  // Fletcher32
}

TEST_F(DamagedShards, NameTheTruncatedOrMissingShard) {
  std::filesystem::resize_file(shard(1), 1000);
  EXPECT_THAT(open_error(VerifyShards::no), AllOf(HasSubstr(shard(1).string()), HasSubstr("found 1000")));
  std::filesystem::remove(shard(1));
  EXPECT_THAT(open_error(), HasSubstr(shard(1).string()));
}

TEST_F(DamagedShards, AskForPrepWithoutManifest) {
  std::filesystem::remove(folder_.path() / "manifest.json");
  EXPECT_THAT(open_error(), HasSubstr("run lockstep-prep"));
}

TEST_F(DamagedShards, RefuseAnotherFormatVersionAndIncompleteManifests) {
  edit_manifest([](Json& json) { json["format_version"] = 99; });
  EXPECT_THAT(open_error(), HasSubstr("99"));
  edit_manifest([](Json& json) {
    json["format_version"] = Manifest::kFormatVersion;
    json.erase("vocabulary_size");
  });
  EXPECT_THAT(open_error(), HasSubstr("vocabulary_size"));
  folder_.write("manifest.json", "[]");
  EXPECT_THAT(open_error(), HasSubstr("manifest.json"));
}

TEST_F(DamagedShards, RefuseCountsThatDisagree) {
  edit_manifest([](Json& json) { json["shards"][0]["examples"] = 1; });
  EXPECT_THAT(open_error(), HasSubstr("offsets"));
}

}  // namespace
}  // namespace lockstep::test
