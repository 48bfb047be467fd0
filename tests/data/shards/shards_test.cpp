#include <gmock/gmock.h>
#include <chrono>
#include <map>
#include <random>
#include <thread>

#include "data/fixtures.h"
#include "lockstep/core/json.h"
#include "lockstep/data/shards/shard_reader.h"
#include "lockstep/data/shards/shard_writer.h"

namespace lockstep::data {
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

Manifest description(bool has_encoder, std::uint64_t vocabulary_size) {
  Manifest manifest;
  manifest.pretrained_model_name = "some/model";
  manifest.has_encoder = has_encoder;
  manifest.tokenizer_sha256 = std::string(64, 'd');
  manifest.vocabulary_size = vocabulary_size;
  manifest.sources = {{"rows.jsonl", std::string(64, 'e'), 0}};
  return manifest;
}

core::WorkerPool& pool() {
  static core::WorkerPool threads(2);
  return threads;
}

// Adds the examples that the writer wants, `per_shard` per shard.
void add_examples(ShardWriter& writer, const std::vector<Example>& examples, std::size_t per_shard) {
  for (std::size_t i = 0; i < examples.size(); ++i) {
    if (writer.wants(i / per_shard)) writer.add(i / per_shard, {"row " + std::to_string(i + 1), {examples[i]}});
  }
}

Manifest finish(ShardWriter& writer, const std::vector<Example>& examples) {
  writer.flush();
  EXPECT_EQ(writer.find_missing(), 0U);
  RowsRead read;
  read.dataset_rows = {examples.size()};
  read.rows = examples.size();
  return writer.finish(writer.report(read));
}

Manifest write_shards(const std::filesystem::path& folder, const std::vector<Example>& examples, bool has_encoder,
                      std::uint64_t vocabulary_size, std::size_t per_shard, ShardOptions options = {}) {
  ShardWriter writer(folder, description(has_encoder, vocabulary_size), pool(), options);
  add_examples(writer, examples, per_shard);
  return finish(writer, examples);
}

std::map<std::string, std::string> contents(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files[entry.path().filename().string()] = core::read_file(entry.path());
  }
  return files;
}

TEST(Shards, GiveBackTheExamples) {
  for (const bool has_encoder : {true, false}) {
    for (const std::uint64_t vocabulary : {300ULL, 65535ULL, 65536ULL, 200000ULL}) {
      for (const std::size_t per_shard : {20, 70, 200}) {
        const test::TemporaryFolder folder;
        const auto examples = random_examples(200, static_cast<TokenId>(vocabulary), 11);
        const auto manifest = write_shards(folder.path(), examples, has_encoder, vocabulary, per_shard,
                                           {.compression = per_shard > 20 ? 4 : 0});
        EXPECT_EQ(manifest.shards.size(), (examples.size() + per_shard - 1) / per_shard);
        const auto dataset = PreparedDataset::open(folder.path(), VerifyShards::kYes);
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
  const test::TemporaryFolder folder;
  const std::vector<Example> examples{{{}, {5, 6}}, {{7}, {2}}};
  write_shards(folder.path(), examples, false, 300, 10);
  const auto dataset = PreparedDataset::open(folder.path(), VerifyShards::kYes);
  EXPECT_EQ(dataset->read(0), examples[0]);
  EXPECT_EQ(dataset->read(1), examples[1]);
}

TEST(Shards, LeaveNothingElseInTheFolder) {
  const test::TemporaryFolder folder;
  folder.write("shard-00001.h5.4711.partial", "left by a killed process");
  const auto manifest = write_shards(folder.path(), random_examples(2000, 300, 3), true, 300, 40);
  ASSERT_EQ(manifest.shards.size(), 50U);
  EXPECT_EQ(manifest.shards[3].name, "shard-00003-of-00050.h5");
  EXPECT_EQ(contents(folder.path()).size(), manifest.shards.size() + 1);
}

TEST(Shards, HaveTheSameBytesWheneverTheyAreWritten) {
  const test::TemporaryFolder first, second;
  const auto examples = random_examples(500, 300, 5);
  write_shards(first.path(), examples, true, 300, 80, {.compression = 1});
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // HDF5's time stamps have a resolution of one second
  write_shards(second.path(), examples, true, 300, 80, {.compression = 1});
  EXPECT_EQ(contents(first.path()), contents(second.path()));
}

TEST(Shards, CanBeReadByManyThreads) {
  const test::TemporaryFolder folder;
  const auto examples = random_examples(1000, 300, 9);
  write_shards(folder.path(), examples, true, 300, 30);
  const auto dataset = PreparedDataset::open(folder.path(), VerifyShards::kNo);
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

// A set of which an earlier writer wrote some shards before it was killed.
class InterruptedShards : public testing::Test {
 protected:
  void SetUp() override {
    examples_ = random_examples(500, 300, 21);
    write_shards(whole_.path(), examples_, true, 300, 50);
    ShardWriter writer(folder_.path(), description(true, 300), pool());
    add_examples(writer, {examples_.begin(), examples_.begin() + 230}, 50);
  }

  // Writes the rest. Returns how many finished shards the writer found.
  std::uint64_t continue_writing() {
    ShardWriter writer(folder_.path(), description(true, 300), pool());
    add_examples(writer, examples_, 50);
    finish(writer, examples_);
    return writer.shards_found();
  }

  std::vector<Example> examples_;
  test::TemporaryFolder whole_, folder_;
};

TEST_F(InterruptedShards, AreContinuedWithTheMissingOnes) {
  EXPECT_EQ(continue_writing(), 4U);
  EXPECT_EQ(contents(folder_.path()), contents(whole_.path()));
}

TEST_F(InterruptedShards, AreWrittenAgainIfDamaged) {
  std::string bytes = core::read_file(folder_.path() / "shard-00001.h5");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  core::write_file(folder_.path() / "shard-00001.h5", bytes);
  core::write_file(folder_.path() / "shard-00002.json", "{");
  std::filesystem::remove(folder_.path() / "shard-00003.json");
  EXPECT_EQ(continue_writing(), 1U);
  EXPECT_EQ(contents(folder_.path()), contents(whole_.path()));
}

TEST_F(InterruptedShards, AreFinishedFromTheManifestAlone) {
  const Manifest manifest = Manifest::load(whole_.path());
  std::filesystem::rename(whole_.path() / "shard-00007-of-00010.h5", whole_.path() / "shard-00007.h5");
  std::filesystem::rename(whole_.path() / "shard-00009-of-00010.h5", whole_.path() / "shard-00009.h5");
  whole_.write("shard-00009.json", "{}");
  EXPECT_FALSE(ShardWriter::finish_interrupted(whole_.path(), description(false, 300)).has_value());
  EXPECT_EQ(ShardWriter::finish_interrupted(whole_.path(), description(true, 300)), manifest);
  EXPECT_EQ(contents(whole_.path()).size(), 11U);
  std::filesystem::resize_file(whole_.path() / "shard-00007-of-00010.h5", 10);
  EXPECT_FALSE(ShardWriter::finish_interrupted(whole_.path(), description(true, 300)).has_value());
}

TEST(Shards, HaveTheSameBytesForAnyNumberOfProcesses) {
  const test::TemporaryFolder whole, shared;
  const auto examples = random_examples(700, 300, 23);
  write_shards(whole.path(), examples, true, 300, 50);
  constexpr std::uint64_t kRanks = 3;
  for (const std::uint64_t rank : {2U, 0U, 1U}) {
    ShardWriter writer(shared.path(), description(true, 300), pool(), {.share = {rank, kRanks}});
    add_examples(writer, examples, 50);
    if (rank != 1) {
      writer.flush();
      EXPECT_GT(writer.find_missing(), 0U);
    } else {
      finish(writer, examples);
    }
  }
  EXPECT_EQ(contents(shared.path()), contents(whole.path()));
}

class DamagedShards : public testing::Test {
 protected:
  void SetUp() override { manifest_ = write_shards(folder_.path(), random_examples(300, 300, 1), true, 300, 100); }
  std::filesystem::path shard(std::size_t i) const { return folder_.path() / manifest_.shards[i].name; }
  std::string open_error(VerifyShards verify = VerifyShards::kYes) const {
    return test::input_error([&] { PreparedDataset::open(folder_.path(), verify); });
  }
  void edit_manifest(const std::function<void(Json&)>& edit) const {
    Json json = core::read_json_file(folder_.path() / "manifest.json");
    edit(json);
    core::write_json_file(folder_.path() / "manifest.json", json);
  }

  test::TemporaryFolder folder_;
  Manifest manifest_;
};

TEST_F(DamagedShards, NameTheShardAndBothDigestsOfAFlippedBit) {
  std::string bytes = core::read_file(shard(1));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  core::write_file(shard(1), bytes);
  const auto message = open_error();
  EXPECT_THAT(message, AllOf(HasSubstr(shard(1).string()), HasSubstr(manifest_.shards[1].sha256)));
}

TEST_F(DamagedShards, AreNotReadEvenUnverified) {
  std::string bytes = core::read_file(shard(0));
  for (std::size_t i = 0; i < 64; ++i)
    bytes[bytes.size() / 2 + i] = static_cast<char>(bytes[bytes.size() / 2 + i] ^ 85);
  core::write_file(shard(0), bytes);
  EXPECT_THROW(PreparedDataset::open(folder_.path(), VerifyShards::kNo)->read(0), Error);  // wrong Fletcher32
}

TEST_F(DamagedShards, NameTheTruncatedOrMissingShard) {
  std::filesystem::resize_file(shard(1), 1000);
  EXPECT_THAT(open_error(VerifyShards::kNo), AllOf(HasSubstr(shard(1).string()), HasSubstr("found 1000")));
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
  edit_manifest([](Json& json) { json["format_version"] = "1"; });
  EXPECT_THAT(open_error(), HasSubstr("expected format version 1, found \"1\""));
  edit_manifest([](Json& json) { json["format"] = 3; });
  EXPECT_THAT(open_error(), HasSubstr("expected a manifest of lockstep-prep"));
  folder_.write("manifest.json", "[]");
  EXPECT_THAT(open_error(), HasSubstr("manifest.json"));
}

TEST_F(DamagedShards, RefuseCountsThatDisagree) {
  edit_manifest([](Json& json) { json["shards"][0]["examples"] = 1; });
  EXPECT_THAT(open_error(), HasSubstr("offsets"));
}

}  // namespace
}  // namespace lockstep::data
