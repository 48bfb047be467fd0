#include "lockstep/hub/resolve.h"

#include <gmock/gmock.h>

#include "hub/cached_files.h"
#include "lockstep/core/error.h"

namespace lockstep::hub {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr const char* kCommit = test::CachedFiles::kCommit;

class ResolveTest : public testing::Test {
 protected:
  ResolveTest() {
    settings_.cache = files_.cache();
    settings_.offline = true;
  }
  ResolvedModel resolve(const std::string& name) const {
    return resolve_model(name, {}, [&] { return settings_; });
  }

  test::CachedFiles files_;
  HubSettings settings_;
};

TEST_F(ResolveTest, WhatExistsIsTakenAsItIs) {
  EXPECT_EQ(resolve(files_.cache()).folder, files_.cache());
  EXPECT_EQ(resolve(files_.cache()).commit, "");
}

TEST_F(ResolveTest, OfflineTheCacheIsEnoughIfItCanBeUsed) {
  files_.add({"config.json", "tokenizer.json", "model.safetensors"});
  EXPECT_THROW(resolve("org/name"), InputError);
  files_.write("refs/main", kCommit);
  for (const std::string name : {"org/name", "org/name@main", "org/name@0123456789abcdef0123456789abcdef01234567"}) {
    EXPECT_EQ(resolve(name).folder, files_.snapshot());
    EXPECT_EQ(resolve(name).commit, kCommit);
  }
}

TEST_F(ResolveTest, EachPlaceThatWasLookedAtIsNamed) {
  EXPECT_THAT([&] { resolve("org/name"); },
              ThrowsMessage<InputError>(
                  AllOf(HasSubstr("no folder /"), HasSubstr("models--org--name does not exist"),
                        HasSubstr("https://huggingface.co is not contacted because HF_HUB_OFFLINE is set"),
                        HasSubstr("lockstep-prep download org/name"))));
  files_.add({"config.json"});
  EXPECT_THAT([&] { resolve("org/name"); }, ThrowsMessage<InputError>(HasSubstr("does not have this revision")));
  files_.write("refs/main", kCommit);
  EXPECT_THAT([&] { resolve("org/name"); }, ThrowsMessage<InputError>(HasSubstr("is not complete")));
}

TEST_F(ResolveTest, WhatExistsNeedsNoSettings) {
  const auto wrong = [&]() -> HubSettings { throw InputError("HF_ENDPOINT is wrong"); };
  EXPECT_EQ(resolve_model(files_.cache(), {}, wrong).folder, files_.cache());
  EXPECT_THROW(resolve_model("org/name", {}, wrong), InputError);
}

TEST_F(ResolveTest, ARankTakesTheFirstCacheThatHasTheCommit) {
  files_.add({"config.json", "tokenizer.json"});
  const test::CachedFiles empty;
  const auto find = [&](ModelFiles wanted) {
    return find_cached_model("org/name", kCommit, wanted, {empty.cache(), files_.cache()});
  };
  EXPECT_EQ(find(ModelFiles::kWithoutWeights), files_.snapshot());
  EXPECT_THAT(
      [&] { find(ModelFiles::kAll); },
      ThrowsMessage<InputError>(AllOf(HasSubstr(empty.snapshot().string()), HasSubstr(files_.snapshot().string()),
                                      HasSubstr("HF_HOME"), HasSubstr("on each node"))));
}

}  // namespace
}  // namespace lockstep::hub
