#include <fmt/format.h>
#include <gmock/gmock.h>

#include "data/fixtures.h"

namespace lockstep::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<Row> read_json(const std::string& bytes) {
  const test::TemporaryFolder folder;
  return test::read_all(Dataset::from_file(folder.write("rows.json", bytes)));
}

std::string json_error(const std::string& bytes) {
  return test::input_error([&] { read_json(bytes); });
}

constexpr const char* kRow = "{\"model_input\": \"a\", \"model_output\": \"b\"}";

TEST(JsonArray, ReadsElementsWhateverTheLayout) {
  const auto rows = read_json(
      "\xEF\xBB\xBF\n [\n  {\"model_input\": \"],}\\\"{[\\\\\",\n   \"x\": [{\"model_input\": [1, \"]\"]}, {}],\n"
      "   \"model_output\": 1.50}\r\n , {\"model_input\":\"\\u00e9\\ud83d\\ude00\",\"model_output\":\"\"}\n]\n \n");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].model_input, "],}\"{[\\");
  EXPECT_EQ(rows[0].model_output, "1.50");
  EXPECT_EQ(rows[1].model_input, "é😀");
  EXPECT_EQ(rows[1].model_output, "");
}

TEST(JsonArray, MayBeEmpty) {
  EXPECT_TRUE(read_json("[]").empty());
  EXPECT_TRUE(read_json(" [ \n ] ").empty());
}

TEST(JsonArray, IsToldFromJsonLinesByItsFirstCharacter) {
  EXPECT_EQ(read_json(std::string("\n ") + kRow + "\n").size(), 1U);
  EXPECT_EQ(read_json(std::string("\n [") + kRow + "]").size(), 1U);
  const test::TemporaryFolder folder;
  const auto path = folder.write("rows.jsonl", std::string("[") + kRow + "]\n");
  EXPECT_THAT(test::input_error([&] { test::read_all(Dataset::from_file(path)); }), HasSubstr("an array"));
}

// Rows of many lengths, so that the end of the buffer falls on every kind of character.
TEST(JsonArray, ReadsFilesOfManyBlocks) {
  std::string text = "[";
  constexpr int kRows = 3000;
  for (int i = 0; i < kRows; ++i) {
    text += fmt::format(
        "{}{{\"model_input\": \"{}\\\\\\\"\", \"model_output\": {}}}", i > 0 ? " ," : "",
        std::string(static_cast<std::size_t>(i % 700), '\\') + std::string(static_cast<std::size_t>(i % 700), '\\'), i);
  }
  const auto rows = read_json(text + "]");
  ASSERT_EQ(rows.size(), static_cast<std::size_t>(kRows));
  for (int i = 0; i < kRows; ++i) {
    ASSERT_EQ(rows[static_cast<std::size_t>(i)].model_output, std::to_string(i));
    ASSERT_EQ(rows[static_cast<std::size_t>(i)].model_input,
              std::string(static_cast<std::size_t>(i % 700), '\\') + "\\\"");
  }
}

TEST(JsonArray, NamesTheRowOfWhatIsWrong) {
  const std::string row = kRow;
  EXPECT_THAT(json_error("[" + row + ", {\"model_input\": \"a\"}]"),
              AllOf(HasSubstr("rows.json: row 2: "), HasSubstr("\"model_output\"")));
  EXPECT_THAT(json_error("[" + row + ", \"text\"]"), AllOf(HasSubstr("row 2"), HasSubstr("found a string")));
  EXPECT_THAT(json_error("[" + row + ", {\"model_input\" \"a\"}]"),
              AllOf(HasSubstr("row 2"), HasSubstr("malformed JSON at byte"), HasSubstr("of the row")));
  EXPECT_THAT(json_error("[" + row + ",]"), AllOf(HasSubstr("row 2"), HasSubstr("comma")));
  EXPECT_THAT(json_error("[" + row + ",, " + row + "]"), AllOf(HasSubstr("row 2"), HasSubstr("comma")));
  EXPECT_THAT(json_error("[" + row), AllOf(HasSubstr("row 1"), HasSubstr("truncated")));
  EXPECT_THAT(json_error("[" + row + ", {\"model_input\": \"a"), AllOf(HasSubstr("row 2"), HasSubstr("truncated")));
  EXPECT_THAT(json_error("["), HasSubstr("truncated"));
  EXPECT_THAT(json_error("[" + row + "] x"), AllOf(HasSubstr("after the array"), HasSubstr("'x' at byte 45")));
  EXPECT_THAT(json_error("[] []"), HasSubstr("after the array"));
  EXPECT_THAT(json_error("[" + row + ", {\"model_input\": \"\xff\", \"model_output\": \"\"}]"),
              AllOf(HasSubstr("row 2"), HasSubstr("UTF-8"), HasSubstr("byte 62 of the file")));
}

TEST(JsonArray, RefusesARowWithoutEnd) {
  EXPECT_THAT(json_error("[{\"model_input\": \"" + std::string(66 << 20, 'x')), HasSubstr("never closed"));
}

TEST(JsonLines, RefusesUnpairedSurrogatesAndWhatFollowsAnObject) {
  for (const std::string text : {R"("\ud800")", R"("\udc00")", R"("\ud83dA")", R"("\uD83D\u0041")"}) {
    EXPECT_THAT(json_error("{\"model_input\": " + text + ", \"model_output\": \"\"}\n"), HasSubstr("malformed JSON"))
        << text;
  }
  EXPECT_THAT(json_error(std::string(kRow) + " x\n"), HasSubstr("malformed JSON"));
  EXPECT_THAT(json_error(kRow + std::string(1, '\0') + "\n"), HasSubstr("malformed JSON"));
  EXPECT_THAT(json_error(std::string(kRow) + kRow + "\n"), HasSubstr("malformed JSON"));
}

TEST(JsonLines, ReadsRowsNestedBeyondAnyStack) {
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  const auto rows = read_json("{\"x\": " + deep + ", \"model_input\": \"a\", \"model_output\": \"b\"}\n");
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].model_output, "b");
}

}  // namespace
}  // namespace lockstep::data
