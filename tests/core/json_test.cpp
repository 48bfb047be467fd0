#include "lockstep/core/json.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"

namespace lockstep::core {
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

TEST(Json, RefusesWhatOnlyLooksLikeJson) {
  const auto path = std::filesystem::temp_directory_path() / ("json_test_" + std::to_string(::getpid()) + ".json");
  const auto read = [&] { read_json_file(path); };
  write_file(path, R"({"a": 1e999})");
  EXPECT_THAT(read, ThrowsMessage<InputError>(HasSubstr("1e999")));
  write_file(path, std::string(100'000, '['));
  EXPECT_THAT(read, ThrowsMessage<InputError>(HasSubstr("at most 200 levels")));
  write_file(path, R"(["]]\\\"[[", )" + std::string(199, '[') + std::string(199, ']') + "]");
  EXPECT_NO_THROW(read());
  std::filesystem::remove(path);
}

TEST(Json, CountsAreWholeNumbersInRange) {
  EXPECT_EQ(json_count(Json(3)), 3U);
  for (const char* text : {"-1", "1.5", "1e+300", "true", "null", "\"3\"", "8"}) {
    EXPECT_THAT([&] { json_count(Json::parse(text), 7); }, ThrowsMessage<InputError>(HasSubstr(text))) << text;
  }
}

}  // namespace
}  // namespace lockstep::core
