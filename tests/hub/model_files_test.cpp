#include "hub/model_files.h"

#include <gmock/gmock.h>

#include "hub/cached_files.h"
#include "lockstep/core/error.h"

namespace lockstep::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::ThrowsMessage;

TEST(ModelFiles, TheDescriptionHasTheTokenizer) {
  EXPECT_THAT(description_files(), IsSupersetOf({"config.json", "tokenizer.json", "spiece.model", "merges.txt"}));
}

TEST(ModelFiles, AnIndexNamesEachFileOnce) {
  const test::CachedFiles files;
  files.add({"index"}, R"({"weight_map": {"a": "2", "b": "1", "c": "2"}})");
  EXPECT_THAT(files_of_index(files.snapshot() / "index"), ElementsAre("1", "2"));
}

TEST(ModelFiles, AnIndexNamesNothingElsewhere) {
  const test::CachedFiles files;
  for (const char* name : {"", "../x", "/x", "a/b", ".x"}) {
    files.add({"index"}, std::string(R"({"weight_map": {"a": ")") + name + "\"}}");
    EXPECT_THROW(files_of_index(files.snapshot() / "index"), InputError) << name;
  }
  for (const char* text : {"{}", "[]", R"({"weight_map": {"a": 1}})"}) {
    files.add({"index"}, text);
    EXPECT_THAT([&] { files_of_index(files.snapshot() / "index"); },
                ThrowsMessage<InputError>(HasSubstr("expected an index of weights")));
  }
}

}  // namespace
}  // namespace lockstep::hub
