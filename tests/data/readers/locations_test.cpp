#include <gmock/gmock.h>
#include <sys/stat.h>
#include <filesystem>
#include <fstream>
#include <thread>

#include "data/fixtures.h"

namespace lockstep::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;

constexpr const char* kRow = "{\"model_input\": \"a\", \"model_output\": \"b\"}\n";

std::vector<std::string> names(const std::vector<Dataset>& datasets) {
  std::vector<std::string> names;
  for (const auto& dataset : datasets) names.push_back(dataset.name());
  return names;
}

// Writes a DatasetDict with the splits train and test, whose files are never read.
std::filesystem::path write_dataset_dict(const test::TemporaryFolder& folder) {
  folder.write("dataset_dict.json", R"({"splits": ["train", "test"]})");
  for (const std::string split : {"train", "test"}) {
    std::filesystem::create_directory(folder.path() / split);
    folder.write(split + "/state.json", R"({"_data_files": [{"filename": "b.arrow"}, {"filename": "a.arrow"}]})");
    folder.write(split + "/a.arrow", "");
    folder.write(split + "/b.arrow", "");
  }
  return folder.path();
}

TEST(Locations, PatternsGiveTheirFilesSortedByName) {
  const test::TemporaryFolder folder;
  for (const std::string name : {"b.jsonl", "a.jsonl", "B.jsonl", "c.csv"}) folder.write(name, kRow);
  const std::string base = folder.path().string();
  EXPECT_THAT(names(Dataset::find(base + "/*.jsonl", DatasetOptions())),
              ElementsAre(base + "/B.jsonl", base + "/a.jsonl", base + "/b.jsonl"));
  EXPECT_THAT(names(Dataset::find(base + "/[ab].jsonl", DatasetOptions())),
              ElementsAre(base + "/a.jsonl", base + "/b.jsonl"));
  EXPECT_THAT(names(Dataset::find(base + "/c.csv", DatasetOptions())), ElementsAre(base + "/c.csv"));
  EXPECT_THAT(test::input_error([&] { Dataset::find(base + "/*.parquet", DatasetOptions()); }),
              HasSubstr("*.parquet: expected a file"));
}

TEST(Locations, CompressionIsRecognizedWhateverTheNameIs) {
  const test::TemporaryFolder folder;
  const std::string gzip(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\xcd\x4f\x49\xcd\x89\xcf\xcc\x2b\x28\x2d\x51\xb2"
      "\x52\x50\x4a\x54\xd2\x51\x80\x8a\xe5\x97\x96\x40\x05\x93\x94\x6a\xb9\x00\xa7\xdb\x1f\x4e\x2a\x00\x00"
      "\x00",
      51);
  for (const std::string name : {"r.jsonl", "r.json", "R.JSONL.GZ"}) {
    const auto rows = test::read_all(Dataset::from_file(folder.write(name, gzip)));
    ASSERT_EQ(rows.size(), 1U) << name;
    EXPECT_EQ(rows[0].model_input, "a") << name;
  }
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 12\n";
  for (const std::string name : {"p.jsonl", "p.csv", "p.parquet", "p.arrow"}) {
    EXPECT_THAT(test::input_error([&] { test::read_all(Dataset::from_file(folder.write(name, pointer))); }),
                HasSubstr("git lfs pull"));
  }
}

TEST(Locations, TwoStarsMatchAnyNumberOfFolders) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() / "x/y");
  std::filesystem::create_directories(folder.path() / ".hidden");
  for (const std::string name : {"a.jsonl", "x/b.jsonl", "x/y/c.jsonl", "x/y/\xC3\xA9.jsonl", ".hidden/d.jsonl"}) {
    folder.write(name, kRow);
  }
  const std::string base = folder.path().string();
  EXPECT_THAT(names(Dataset::find(base + "/**/*.jsonl", DatasetOptions())),
              ElementsAre(base + "/a.jsonl", base + "/x/b.jsonl", base + "/x/y/c.jsonl", base + "/x/y/\xC3\xA9.jsonl"));
  EXPECT_THAT(names(Dataset::find(base + "/x/**", DatasetOptions())),
              ElementsAre(base + "/x/b.jsonl", base + "/x/y/c.jsonl", base + "/x/y/\xC3\xA9.jsonl"));
  EXPECT_THAT(names(Dataset::find(base + "/**/[!a-c].jsonl", DatasetOptions())),
              ElementsAre(base + "/x/y/\xC3\xA9.jsonl"));
  for (const std::string pattern : {"{a,b}.jsonl", "*/{a,b}", "[^a]", "[[:alpha:]]", "\\*", "**.jsonl"}) {
    EXPECT_THAT(test::input_error([&] { Dataset::find(base + "/" + pattern, DatasetOptions()); }),
                HasSubstr("expected a pattern of *, ?, [...] and **"));
  }
}

TEST(Locations, AFileMayHaveThePatternsCharacters) {
  const test::TemporaryFolder folder;
  folder.write("a.jsonl", kRow);
  const auto path = folder.write("[a].jsonl", kRow);
  EXPECT_THAT(names(Dataset::find(path.string(), DatasetOptions())), ElementsAre(path.string()));
  const auto colon = folder.write("a:b.jsonl", kRow);
  EXPECT_EQ(test::read_all(Dataset::from_file(colon)).size(), 1U);
}

TEST(Locations, ADatasetDictIsReadBySplit) {
  const test::TemporaryFolder folder;
  const std::string path = write_dataset_dict(folder).string();
  EXPECT_EQ(Dataset::from_file(path).name(), path + ":train");
  const auto test = Dataset::from_file(path + ":test");
  EXPECT_EQ(test.name(), path + ":test");
  EXPECT_THAT(test.files(), ElementsAre(folder.path() / "test/b.arrow", folder.path() / "test/a.arrow"));
  EXPECT_THAT(test::input_error([&] { Dataset::from_file(path, {.default_split = "validation"}); }),
              AllOf(HasSubstr("\"validation\" (the default)"), HasSubstr("\"train\", \"test\"")));
  EXPECT_THAT(test::input_error([&] { Dataset::from_file(path + ":dev"); }),
              AllOf(HasSubstr("\"dev\""), HasSubstr("\"train\", \"test\"")));
}

TEST(Locations, NamesWhatIsWrongWithASavedDataset) {
  const test::TemporaryFolder folder;
  const auto train = write_dataset_dict(folder) / "train";
  EXPECT_EQ(Dataset::from_file(train).files().size(), 2U);
  EXPECT_THAT(test::input_error([&] { Dataset::from_file(train.string() + ":test"); }), HasSubstr("without splits"));
  std::filesystem::remove(train / "a.arrow");
  EXPECT_THAT(test::input_error([&] { Dataset::from_file(train); }), HasSubstr("a.arrow"));
  folder.write("train/state.json", "{}");
  EXPECT_THAT(test::input_error([&] { Dataset::from_file(train); }), HasSubstr("_data_files"));
  folder.write("dataset_dict.json", "[]");
  EXPECT_THAT(test::input_error([&] { Dataset::from_file(folder.path()); }), HasSubstr("splits"));
}

TEST(Locations, APipeIsRefused) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "pipe.jsonl";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { const std::ofstream opened(path); });  // opening a pipe waits for its other end
  EXPECT_THAT(test::input_error([&] { Dataset::from_file(path).open(); }), HasSubstr("pipe.jsonl: "));
  writer.join();
}

TEST(Locations, CompressedTextIsReadAndDamageIsNamed) {
  const test::TemporaryFolder folder;
  const std::string member(  // kRow compressed by gzip
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\xcd\x4f\x49\xcd\x89\xcf\xcc\x2b\x28\x2d\x51\xb2\x52"
      "\x50\x4a\x54\xd2\x51\x80\x8a\xe5\x97\x96\x40\x05\x93\x94\x6a\xb9\x00\xa7\xdb\x1f\x4e\x2a\x00\x00\x00",
      51);
  EXPECT_EQ(test::read_all(Dataset::from_file(folder.write("twice.jsonl.gz", member + member))).size(), 2U);
  EXPECT_THAT(test::input_error([&] {
                test::read_all(Dataset::from_file(folder.write("cut.jsonl.gz", member.substr(0, member.size() - 12))));
              }),
              AllOf(HasSubstr("cut.jsonl.gz"), HasSubstr("damaged or truncated")));
  EXPECT_THAT(
      test::input_error([&] { test::read_all(Dataset::from_file(folder.write("r.csv.zst", "model_input\n"))); }),
      AllOf(HasSubstr("r.csv.zst"), HasSubstr("damaged or truncated")));
  EXPECT_THAT(test::input_error([&] { Dataset::from_file(folder.write("r.parquet.gz", member)); }),
              HasSubstr("decompress"));
  EXPECT_THAT(test::input_error([&] { Dataset::from_file(folder.write("r.gz", member)); }), EndsWith("and .arrow"));
}

}  // namespace
}  // namespace lockstep::data
