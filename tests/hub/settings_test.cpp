#include "lockstep/hub/settings.h"

#include <gmock/gmock.h>
#include <map>

#include "hub/cached_files.h"
#include "lockstep/core/error.h"

namespace lockstep::hub {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

HubSettings settings_of(std::map<std::string, std::string> variables) {
  variables.emplace("HOME", "/home/me");
  return hub_settings([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(HubSettings, TakeTheCacheOfTheNearestVariable) {
  EXPECT_EQ(settings_of({}).cache, "/home/me/.cache/huggingface/hub");
  EXPECT_EQ(settings_of({{"XDG_CACHE_HOME", "/xdg"}}).cache, "/xdg/huggingface/hub");
  EXPECT_EQ(settings_of({{"XDG_CACHE_HOME", "/xdg"}, {"HF_HOME", "/hf"}}).cache, "/hf/hub");
  EXPECT_EQ(settings_of({{"HF_HOME", "/hf"}, {"HF_HUB_CACHE", "~/models"}}).cache, "/home/me/models");
  EXPECT_EQ(settings_of({{"HF_HOME", ""}}).cache, "/home/me/.cache/huggingface/hub");
}

TEST(HubSettings, TakeTheTokenOfTheEnvironmentFirst) {
  const test::CachedFiles files;
  const std::string home = files.cache().string();
  EXPECT_EQ(settings_of({{"HF_HOME", home}}).token, "");
  core::write_file(files.cache() / "token", "hf_of_the_file\n");
  EXPECT_EQ(settings_of({{"HF_HOME", home}}).token, "hf_of_the_file");
  EXPECT_EQ(settings_of({{"HF_HOME", home}}).token_origin, home + "/token");
  EXPECT_EQ(settings_of({{"HF_TOKEN_PATH", home + "/token"}}).token, "hf_of_the_file");
  EXPECT_EQ(settings_of({{"HF_HOME", home}, {"HF_TOKEN", " hf_mine\r\n"}}).token, "hf_mine");
}

TEST(HubSettings, ReadTheEndpointAndSwitches) {
  EXPECT_EQ(settings_of({}).endpoint, "https://huggingface.co");
  EXPECT_EQ(settings_of({{"HF_ENDPOINT", "https://mirror/hub//"}}).endpoint, "https://mirror/hub");
  EXPECT_FALSE(settings_of({{"HF_HUB_OFFLINE", "0"}}).offline);
  EXPECT_TRUE(settings_of({{"HF_HUB_OFFLINE", "yes"}}).offline);
  EXPECT_TRUE(settings_of({{"TRANSFORMERS_OFFLINE", "1"}}).offline);
  EXPECT_EQ(settings_of({{"HF_HUB_DOWNLOAD_TIMEOUT", "30"}}).timeout_s, 30);
  EXPECT_EQ(settings_of({{"SSL_CERT_FILE", "/certificate"}}).ca_bundle, "/certificate");
}

TEST(HubSettings, NameAVariableThatIsWrong) {
  EXPECT_THAT([] { settings_of({{"HF_ENDPOINT", "mirror"}}); }, ThrowsMessage<InputError>(HasSubstr("HF_ENDPOINT")));
  EXPECT_THAT(
      [] {
        settings_of({{"HF_HUB_DOWNLOAD_TIMEOUT", "soon"}});
      },
      ThrowsMessage<InputError>(HasSubstr("'soon'")));
}

}  // namespace
}  // namespace lockstep::hub
