#include "lockstep/core/json.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"

namespace lockstep {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(Json, KeepsTheOrderOfKeysAndNamesTheLineOfAnError) {
  const auto path = std::filesystem::temp_directory_path() / ("json_test_" + std::to_string(::getpid()) + ".json");
  write_json_file(path, Json::parse(R"({"zebra": 1, "ant": [1.5, null]})"));
  EXPECT_EQ(read_file(path), "{\n  \"zebra\": 1,\n  \"ant\": [\n    1.5,\n    null\n  ]\n}\n");
  EXPECT_EQ(read_json_file(path).begin().key(), "zebra");
  write_file(path, "{\n\"a\": 1,\n\"b\" 2}\n");
  EXPECT_THAT([&] { read_json_file(path); }, ThrowsMessage<InputError>(HasSubstr(".json: line 3: not valid JSON")));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace lockstep
