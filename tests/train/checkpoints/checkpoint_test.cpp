#include "lockstep/train/checkpoints/checkpoint.h"

#include <gmock/gmock.h>
#include <functional>
#include <string>

#include "data/fixtures.h"
#include "lockstep/core/digest.h"
#include "lockstep/core/json.h"

namespace lockstep::train {
namespace {

namespace fs = std::filesystem;
using test::input_error;
using test::TemporaryFolder;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using testing::ThrowsMessage;

constexpr const char* kModelFile = "model.safetensors";

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

// Saves a checkpoint whose files contain `content`, and returns its folder.
fs::path save(const fs::path& output_dir, std::uint64_t step, const std::string& content = "weights") {
  CheckpointFolder folder(output_dir);
  folder.begin(step, 100);
  const fs::path partial = folder.partial_path(step);
  std::vector<CheckpointFile> files;
  for (const std::string& name : {std::string(kModelFile), std::string(kTrainerStateFile), optimizer_file_name(0, 1)}) {
    core::write_file(partial / name, name + content);
    files.push_back(describe_file(partial, name));
  }
  folder.commit(step, files);
  return folder.path(step);
}

TEST(Checkpoint, NamesSortAsStepsDo) {
  EXPECT_EQ(checkpoint_name(120), "checkpoint-000120");
  EXPECT_EQ(checkpoint_name(12345678), "checkpoint-12345678");
  EXPECT_EQ(optimizer_file_name(3, 16), "optimizer-00003-of-00016.safetensors");
}

TEST(Checkpoint, AFileIsDescribedBySizeAndHash) {
  const test::TemporaryFolder folder;
  const std::string bytes(3'000'000, 'x');
  folder.write("weights", bytes);
  const CheckpointFile file = describe_file(folder.path(), "weights");
  EXPECT_EQ(file.name, "weights");
  EXPECT_EQ(file.bytes, bytes.size());
  EXPECT_EQ(file.sha256, core::sha256(bytes));
  EXPECT_THAT(test::input_error([&] { describe_file(folder.path(), "none"); }), HasSubstr("none"));
}

TEST(Checkpoint, IsWholeAsItWasWritten) {
  const test::TemporaryFolder folder;
  const fs::path checkpoint = save(folder.path(), 7);
  EXPECT_EQ(checkpoint.filename(), "checkpoint-000007");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("checkpoint-000007"));
  EXPECT_THAT(names_in(checkpoint),
              ElementsAre(kCheckpointManifestFile, kModelFile, optimizer_file_name(0, 1), kTrainerStateFile));
  EXPECT_EQ(find_defect(checkpoint), "");
  core::write_file(checkpoint / "notes.txt", "of a user");
  EXPECT_EQ(find_defect(checkpoint), "");
}

TEST(Checkpoint, EveryDamageIsFound) {
  const test::TemporaryFolder folder;
  const auto damaged = [&](const std::function<void(const fs::path&)>& damage) {
    const fs::path checkpoint = save(folder.path(), 1);
    damage(checkpoint);
    return find_defect(checkpoint);
  };
  const std::string whole = std::string(kModelFile) + "weights";
  EXPECT_EQ(damaged([](const fs::path& path) { fs::resize_file(path / kModelFile, 7); }),
            "model.safetensors: expected 24 bytes, found 7");
  for (std::size_t bit = 0; bit < 8 * whole.size(); bit += 5) {
    std::string bytes = whole;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    EXPECT_THAT(damaged([&](const fs::path& path) { core::write_file(path / kModelFile, bytes); }),
                AllOf(StartsWith("model.safetensors: "), HasSubstr("sha256")));
  }
  EXPECT_EQ(damaged([](const fs::path& path) { fs::remove(path / kModelFile); }), "model.safetensors: missing");
  EXPECT_EQ(damaged([](const fs::path& path) {
              fs::remove(path / kModelFile);
              fs::create_directory(path / kModelFile);
            }),
            "model.safetensors: missing");
  EXPECT_THAT(damaged([](const fs::path& path) { fs::remove(path / kCheckpointManifestFile); }),
              StartsWith("manifest.json: missing"));
  EXPECT_THAT(find_defect(folder.path() / "none"), StartsWith("manifest.json: missing"));
}

TEST(Checkpoint, AManifestThatIsNoneIsAFlaw) {
  const test::TemporaryFolder folder;
  const fs::path checkpoint = save(folder.path(), 1);
  const Json good = core::read_json_file(checkpoint / kCheckpointManifestFile);
  const auto with = [&](const std::string& manifest) {
    core::write_file(checkpoint / kCheckpointManifestFile, manifest);
    return find_defect(checkpoint);
  };
  const auto changed = [&](const std::function<void(Json&)>& change) {
    Json manifest = good;
    change(manifest);
    return with(manifest.dump());
  };
  ASSERT_EQ(with(good.dump()), "");
  for (const char* text : {"", "{", "[]", "7", "null", "\"text\"", "{}", "\xff", R"({"format": "lockstep-shards"})"}) {
    EXPECT_THAT(with(text), StartsWith("manifest.json: ")) << text;
  }
  EXPECT_THAT(with(std::string(100'000, '[')), StartsWith("manifest.json: "));
  EXPECT_THAT(changed([](Json& json) { json["format_version"] = 2; }), HasSubstr("expected format version 1, found 2"));
  EXPECT_THAT(changed([](Json& json) { json.erase("format_version"); }), HasSubstr("found null"));
  EXPECT_THAT(changed([](Json& json) { json.erase("files"); }), HasSubstr("files"));
  EXPECT_THAT(changed([](Json& json) { json["files"] = Json::array(); }), HasSubstr(kTrainerStateFile));
  for (const Json& value : {Json("x"), Json(-1), Json(1.5), Json(nullptr), Json::array(), Json::object()}) {
    EXPECT_THAT(changed([&](Json& json) { json["files"][0]["bytes"] = value; }), StartsWith("manifest.json: "));
    EXPECT_THAT(changed([&](Json& json) { json["files"][0] = value; }), StartsWith("manifest.json: "));
    EXPECT_THAT(changed([&](Json& json) { json["format"] = value; }), StartsWith("manifest.json: "));
    if (value == Json("x")) continue;
    EXPECT_THAT(changed([&](Json& json) { json["files"][0]["name"] = value; }), StartsWith("manifest.json: "));
    EXPECT_THAT(changed([&](Json& json) { json["files"][0]["sha256"] = value; }), StartsWith("manifest.json: "));
  }
  EXPECT_THAT(changed([](Json& json) { json["files"] = "x"; }), StartsWith("manifest.json: "));
}

TEST(Checkpoint, NamesThatLeadOutOfTheFolderAreNotFollowed) {
  const test::TemporaryFolder folder;
  const fs::path checkpoint = save(folder.path(), 1);
  const fs::path secret = folder.write("secret", "secret");
  fs::create_directory(checkpoint / "below");
  core::write_file(checkpoint / "below" / "secret", "secret");
  const Json good = core::read_json_file(checkpoint / kCheckpointManifestFile);
  for (const std::string& name : {std::string("../secret"), secret.string(), std::string("below/secret"),
                                  std::string(".."), std::string("."), std::string(""), std::string("a\0b", 3)}) {
    Json manifest = good;
    manifest["files"].push_back({{"name", name}, {"bytes", 6}, {"sha256", core::sha256("secret")}});
    core::write_json_file(checkpoint / kCheckpointManifestFile, manifest);
    EXPECT_THAT(find_defect(checkpoint), HasSubstr("expected names of files in this folder")) << name;
  }
}

TEST(CheckpointFolder, IsNotThereBeforeItIsCommitted) {
  const test::TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path() / "made");
  EXPECT_THAT(checkpoints.steps(), IsEmpty());
  checkpoints.begin(3, 0);
  core::write_file(checkpoints.partial_path(3) / kModelFile, "half");
  EXPECT_THAT(checkpoints.steps(), IsEmpty());
  checkpoints.begin(3, 0);
  EXPECT_THAT(names_in(checkpoints.partial_path(3)), IsEmpty());
  checkpoints.discard(3);
  EXPECT_THAT(names_in(folder.path() / "made"), IsEmpty());
}

TEST(CheckpointFolder, CommitsOnlyFilesThatAreThere) {
  const test::TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path());
  checkpoints.begin(3, 0);
  core::write_file(checkpoints.partial_path(3) / kModelFile, "half");
  EXPECT_THAT(
      [&] {
        checkpoints.commit(3, {{kModelFile, 4}, {optimizer_file_name(1, 2), 9}});
      },
      ThrowsMessage<Error>(AllOf(HasSubstr("optimizer-00001-of-00002.safetensors: missing"),
                                 HasSubstr("output_dir must lie on a disk that all nodes share"))));
  EXPECT_THAT(
      [&] {
        checkpoints.commit(3, {{kModelFile, 5}});
      },
      ThrowsMessage<Error>(HasSubstr("expected 5 bytes, found 4")));
  EXPECT_THAT(checkpoints.steps(), IsEmpty());
}

TEST(CheckpointFolder, ADiskWithoutRoomIsNamedBeforeAnythingIsWritten) {
  const test::TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path());
  EXPECT_THAT([&] { checkpoints.begin(3, std::uint64_t{1} << 62); },
              ThrowsMessage<Error>(AllOf(HasSubstr("checkpoint-000003"), HasSubstr("4611686018427387904 bytes"),
                                         HasSubstr("free some space"))));
  EXPECT_THAT(names_in(folder.path()), IsEmpty());
}

TEST(CheckpointFolder, AnEarlierOneOfTheSameStepIsReplaced) {
  const test::TemporaryFolder folder;
  save(folder.path(), 5, "old");
  const fs::path checkpoint = save(folder.path(), 5, "new");
  EXPECT_EQ(find_defect(checkpoint), "");
  EXPECT_EQ(core::read_file(checkpoint / kModelFile), std::string(kModelFile) + "new");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("checkpoint-000005"));
}

TEST(CheckpointFolder, StepsAreThoseOfItsOwnNames) {
  const test::TemporaryFolder folder;
  for (const std::uint64_t step : {1'000'000, 0, 20, 3}) save(folder.path(), step);
  for (const char* name : {"checkpoint-500", "checkpoint-0000007", "checkpoint-00000a", "checkpoint--00001",
                           "checkpoint-000009.old", "checkpoint-99999999999999999999999", "checkpoint-", "best"}) {
    fs::create_directory(folder.path() / name);
  }
  folder.write("checkpoint-000008", "a file");
  EXPECT_THAT(CheckpointFolder(folder.path()).steps(), ElementsAre(0, 3, 20, 1'000'000));
}

TEST(CheckpointFolder, PruningKeepsTheNewestAndOneMore) {
  const test::TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path());
  for (const std::uint64_t step : {2, 4, 6, 8, 999'999, 1'000'000}) save(folder.path(), step);
  checkpoints.prune(7, std::nullopt);
  checkpoints.prune(6, std::nullopt);
  EXPECT_THAT(checkpoints.steps(), ElementsAre(2, 4, 6, 8, 999'999, 1'000'000));
  checkpoints.prune(3, 4);
  EXPECT_THAT(checkpoints.steps(), ElementsAre(4, 8, 999'999, 1'000'000));
  checkpoints.prune(1, 1'000'000);
  EXPECT_THAT(names_in(folder.path()), ElementsAre("checkpoint-1000000"));
}

TEST(CheckpointFolder, LeftoversOfKilledRunsGo) {
  const test::TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path());
  save(folder.path(), 1);
  for (const char* name : {".checkpoint-000002.partial", ".checkpoint-000001.removed"}) {
    fs::create_directory(folder.path() / name);
    folder.write(std::string(name) + "/" + kModelFile, "half");
  }
  const std::vector<std::string> others = {".checkpoint-2.partial", ".checkpoint-000003.partial.mine", ".train.partial",
                                           "checkpoint-000004.partial"};
  for (const std::string& name : others) fs::create_directory(folder.path() / name);
  checkpoints.remove_leftovers();
  std::vector<std::string> expected = others;
  expected.emplace_back("checkpoint-000001");
  EXPECT_THAT(names_in(folder.path()), testing::UnorderedElementsAreArray(expected));
  EXPECT_NO_THROW(CheckpointFolder(folder.path() / "none").remove_leftovers());
}

TEST(CheckpointFolder, WhatIsReplacedGoesOnceThereIsSomethingElse) {
  const test::TemporaryFolder folder;
  CheckpointFolder checkpoints(folder.path());
  for (const std::uint64_t step : {1, 2, 3}) save(folder.path(), step, "old");
  checkpoints.retire_checkpoints_after(1);
  EXPECT_THAT(checkpoints.steps(), ElementsAre(1));
  save(folder.path(), 2, "older");
  checkpoints.retire_checkpoints();
  EXPECT_THAT(checkpoints.steps(), IsEmpty());
  checkpoints.remove_leftovers();  // keeps the renamed checkpoints
  EXPECT_THAT(names_in(folder.path()),
              ElementsAre(".checkpoint-000001.replaced", ".checkpoint-000002.replaced", ".checkpoint-000003.replaced"));
  EXPECT_EQ(find_defect(folder.path() / ".checkpoint-000002.replaced"), "");
  save(folder.path(), 9);
  checkpoints.remove_retired_checkpoints();
  EXPECT_THAT(names_in(folder.path()), ElementsAre("checkpoint-000009"));
}

}  // namespace
}  // namespace lockstep::train
