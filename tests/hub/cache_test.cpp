#include "hub/cache.h"

#include <gmock/gmock.h>

#include "hub/cached_files.h"

namespace lockstep::hub {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCommit = test::CachedFiles::kCommit;
constexpr const char* kOther = "89abcdef0123456789abcdef0123456701234567";

class CachedModelTest : public testing::Test {
 protected:
  CachedModel model(const std::string& revision = "main") const { return {files_.cache(), {"org/name", revision}}; }
  SnapshotState state(ModelFiles files = ModelFiles::kAll) const { return model().state(kCommit, files); }

  // Adds a T5 model of which everything is known except the weights.
  void add_description() {
    files_.add({"config.json", "generation_config.json", "spiece.model", "tokenizer_config.json"});
    files_.note_absent({"tokenizer.model", "tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json",
                        "special_tokens_map.json", "chat_template.jinja"});
  }

  test::CachedFiles files_;
};

TEST_F(CachedModelTest, LiesWhereHuggingfaceHubPutsIt) {
  EXPECT_EQ(model().folder(), files_.cache() / "models--org--name");
  EXPECT_EQ(CachedModel(files_.cache(), {"gpt2", "main"}).folder(), files_.cache() / "models--gpt2");
  EXPECT_EQ(model().lock("abc"), files_.cache() / ".locks/models--org--name/abc.lock");
}

TEST_F(CachedModelTest, KnowsTheCommitOfARevision) {
  EXPECT_FALSE(model().commit());
  model().write_ref(kCommit);
  EXPECT_EQ(core::read_file(files_.folder() / "refs/main"), kCommit);
  EXPECT_EQ(model().commit(), kCommit);
  model().write_ref(kOther);
  EXPECT_EQ(model().commit(), kOther);
  EXPECT_EQ(model(kCommit).commit(), kCommit);
  model(kCommit).write_ref(kCommit);  // a commit needs no ref
  EXPECT_EQ(std::distance(fs::recursive_directory_iterator(files_.folder() / "refs"), {}), 1);
  model("refs/pr/1").write_ref(kCommit);
  EXPECT_EQ(model("refs/pr/1").commit(), kCommit);
}

TEST_F(CachedModelTest, ADamagedRefIsNone) {
  files_.write("refs/main", "");
  EXPECT_FALSE(model().commit());
  files_.write("refs/main", "../../elsewhere");
  EXPECT_FALSE(model().commit());
}

TEST_F(CachedModelTest, LinksFilesToBlobs) {
  files_.write("blobs/abc", "content");
  files_.write("blobs/def", "other");
  for (const auto& [etag, content] : {std::pair{"abc", "content"}, {"abc", "content"}, {"def", "other"}}) {
    model().link(kCommit, "config.json", etag);
    EXPECT_EQ(fs::read_symlink(files_.snapshot() / "config.json"), fs::path("../../blobs") / etag);
    EXPECT_EQ(core::read_file(files_.snapshot() / "config.json"), content);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(files_.snapshot()), {}), 1);
  EXPECT_EQ(std::distance(fs::directory_iterator(files_.folder()), {}), 2);
}

TEST_F(CachedModelTest, IsCompleteWhenEveryFileIsThereOrKnownToBeNone) {
  EXPECT_EQ(state(), SnapshotState::kIncomplete);
  add_description();
  EXPECT_EQ(state(ModelFiles::kWithoutWeights), SnapshotState::kComplete);
  EXPECT_EQ(state(), SnapshotState::kIncomplete);
  files_.add({"model.safetensors"});
  EXPECT_EQ(state(), SnapshotState::kComplete);
}

TEST_F(CachedModelTest, IsUsableWhenFurtherFilesMayExist) {
  add_description();
  files_.add({"pytorch_model.bin"});
  EXPECT_EQ(state(), SnapshotState::kUsable);
  model().note_absent(kCommit, "model.safetensors");
  EXPECT_EQ(state(), SnapshotState::kUsable);
  model().note_absent(kCommit, "model.safetensors.index.json");
  EXPECT_EQ(state(), SnapshotState::kComplete);
  fs::remove(files_.folder() / ".no_exist" / kCommit / "tokenizer.json");
  EXPECT_EQ(state(), SnapshotState::kUsable);
}

TEST_F(CachedModelTest, NeedsConfigAndTokenizer) {
  add_description();
  files_.add({"model.safetensors"});
  fs::remove(files_.snapshot() / "config.json");
  EXPECT_EQ(state(), SnapshotState::kIncomplete);
  add_description();
  fs::remove(files_.snapshot() / "spiece.model");
  fs::remove(files_.snapshot() / "tokenizer_config.json");
  EXPECT_EQ(state(ModelFiles::kWithoutWeights), SnapshotState::kIncomplete);
}

TEST_F(CachedModelTest, NeedsEveryFileOfAnIndex) {
  add_description();
  files_.note_absent({"model.safetensors"});
  files_.add({"model.safetensors.index.json"}, R"({"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}})");
  files_.add({"m-1.safetensors"});
  EXPECT_EQ(state(), SnapshotState::kIncomplete);
  files_.add({"m-2.safetensors"});
  EXPECT_EQ(state(), SnapshotState::kComplete);
}

TEST_F(CachedModelTest, ALinkToABlobThatIsGoneIsNoFile) {
  add_description();
  files_.add({"model.safetensors"});
  files_.write("blobs/abc", "weights");
  model().link(kCommit, "model.safetensors", "abc");
  EXPECT_EQ(state(), SnapshotState::kComplete);
  fs::remove(model().blob("abc"));
  EXPECT_EQ(state(), SnapshotState::kIncomplete);
}

TEST_F(CachedModelTest, BelievesHuggingfaceHubsListOfFiles) {
  files_.add({"config.json", "tokenizer.json", "model.safetensors"});
  EXPECT_EQ(state(), SnapshotState::kUsable);
  const std::string tree = std::string("trees/") + kCommit + ".json";
  const std::string listed =
      R"({"format_version": 1, "files": {"config.json": {}, "tokenizer.json": {}, "model.safetensors": {})";
  files_.write(tree, listed + "}}");
  EXPECT_EQ(state(), SnapshotState::kComplete);
  files_.write(tree, listed + R"(, "merges.txt": {}}})");
  EXPECT_EQ(state(), SnapshotState::kUsable);
  files_.write(tree, "{");
  EXPECT_EQ(state(), SnapshotState::kUsable);
}

}  // namespace
}  // namespace lockstep::hub
