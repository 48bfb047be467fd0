#include "hub/adapter_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"

namespace lockstep::hub {
namespace {

namespace fs = std::filesystem;

class AdapterFolder : public testing::Test {
 protected:
  AdapterFolder() { fs::create_directories(folder_); }
  ~AdapterFolder() override { fs::remove_all(folder_); }
  std::optional<std::string> base_by(const std::string& config) const {
    core::write_file(folder_ / "adapter_config.json", config);
    return adapter_base_model(folder_);
  }

  const fs::path folder_ = fs::temp_directory_path() / ("adapter_folder_test_" + std::to_string(::getpid()));
};

TEST_F(AdapterFolder, WithoutItsConfigNamesNoBase) { EXPECT_EQ(adapter_base_model(folder_), std::nullopt); }

TEST_F(AdapterFolder, ARevisionBelongsToABaseOfTheHubAlone) {
  EXPECT_EQ(base_by(R"({"base_model_name_or_path": "org/name", "revision": null})"), "org/name");
  EXPECT_EQ(base_by(R"({"base_model_name_or_path": "org/name", "revision": "v1"})"), "org/name@v1");
  const std::string local = folder_.string();
  EXPECT_EQ(base_by(R"({"base_model_name_or_path": ")" + local + R"(", "revision": "v1"})"), local);
}

TEST_F(AdapterFolder, OfNoBaseIsRefusedByItsKey) {
  for (const char* config : {"{}", "[]", R"({"base_model_name_or_path": null})"}) {
    EXPECT_THAT([&] { base_by(config); },
                testing::ThrowsMessage<InputError>(testing::HasSubstr("base_model_name_or_path")));
  }
}

}  // namespace
}  // namespace lockstep::hub
