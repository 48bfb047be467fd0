#include "hub/model_name.h"

#include <gtest/gtest.h>

namespace lockstep::hub {
namespace {

TEST(ModelName, HasARepositoryAndARevision) {
  EXPECT_EQ(parse_model_name("google/flan-t5-small")->repository, "google/flan-t5-small");
  EXPECT_EQ(parse_model_name("google/flan-t5-small")->revision, "main");
  EXPECT_EQ(parse_model_name("gpt2")->repository, "gpt2");
  EXPECT_EQ(parse_model_name("org/name_1.5@refs/pr/1")->repository, "org/name_1.5");
  EXPECT_EQ(parse_model_name("org/name_1.5@refs/pr/1")->revision, "refs/pr/1");
  EXPECT_TRUE(parse_model_name(std::string(96, 'o') + "/" + std::string(96, 'n')));
}

// huggingface_hub.utils.validate_repo_id rejects the same names.
TEST(ModelName, IsNoPathAndNothingElse) {
  for (const char* text :
       {"",   "/",   "/tmp/model", "./model", "../model", "model/", "a/b/c",  "a//b",       "-a",  "a-",   ".a",
        "a.", "a b", "a--b",       "a..b",    "a.git",    "org/-a", "org-/a", "\xc3\xa4/b", "a\n", "@main"}) {
    EXPECT_FALSE(parse_model_name(text)) << text;
  }
  EXPECT_FALSE(parse_model_name(std::string(97, 'n')));
}

TEST(ModelName, RefusesRevisionsThatLeaveTheirFolder) {
  for (const char* text : {"a@", "a@/x", "a@x/", "a@../x", "a@x/../y", "a@.x", "a@x/.y", "a@x//y", "a@-x", "a@x y",
                           "a@x\ny", "a@x:y", "a@x?y", "a@x\\y", "a@~x"}) {
    EXPECT_FALSE(parse_model_name(text)) << text;
  }
}

TEST(ModelName, KnowsAWholeCommit) {
  EXPECT_TRUE(is_commit("0123456789abcdef0123456789abcdef01234567"));
  EXPECT_FALSE(is_commit("0123456789abcdef0123456789abcdef0123456"));
  EXPECT_FALSE(is_commit("0123456789ABCDEF0123456789abcdef01234567"));
}

}  // namespace
}  // namespace lockstep::hub
