#include "lockstep/data/row_format.h"

#include <gmock/gmock.h>

#include "core/captured_log.h"
#include "data/fixtures.h"

namespace lockstep::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kRows =
    "{\"question\": \"1+1\", \"answer\": 2, \"topic\": \"sums\"}\n"
    "{\"question\": \"{x}\", \"answer\": true, \"topic\": \"\"}\n";

std::vector<Row> read_with(const RowFormat& format, std::string_view bytes = kRows, bool output_is_optional = false) {
  const test::TemporaryFolder folder;
  return test::read_all(Dataset::from_file(folder.write("rows.jsonl", bytes),
                                           {.format = format, .output_is_optional = output_is_optional}));
}

std::string error_with(const RowFormat& format, std::string_view bytes = kRows) {
  return test::input_error([&] { read_with(format, bytes); });
}

TEST(RowFormat, MapsColumns) {
  const auto rows = read_with({.input_column = "question", .output_column = "answer"});
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].model_input, "1+1");
  EXPECT_EQ(rows[0].model_output, "2");
  EXPECT_EQ(rows[1].model_input, "{x}");
  EXPECT_EQ(rows[1].model_output, "true");
}

TEST(RowFormat, FillsTemplatesWithAnyColumns) {
  const auto rows = read_with({.output_column = "answer",
                               .prompt_template = "[{topic}]\nQuestion: {question}\n{{\"{question}\"}}",
                               .response_template = "{model_output} ({topic})"});
  EXPECT_EQ(rows[0].model_input, "[sums]\nQuestion: 1+1\n{\"1+1\"}");
  EXPECT_EQ(rows[0].model_output, "2 (sums)");
  EXPECT_EQ(rows[1].model_input, "[]\nQuestion: {x}\n{\"{x}\"}");
  EXPECT_EQ(rows[1].model_output, "true ()");
}

TEST(RowFormat, TakesOneColumnForBothTexts) {
  const auto rows = read_with({.input_column = "question", .output_column = "question"});
  EXPECT_EQ(rows[0].model_input, "1+1");
  EXPECT_EQ(rows[0].model_output, "1+1");
}

TEST(RowFormat, NamesWhatWantsAMissingColumnAndThoseThatExist) {
  EXPECT_THAT(error_with({.prompt_template = "{quest}", .response_template = "{answer}"}),
              AllOf(HasSubstr("rows.jsonl: line 1: "), HasSubstr("\"quest\" (prompt_template)"),
                    HasSubstr("\"question\", \"answer\", \"topic\"")));
  EXPECT_THAT(error_with({.prompt_template = "{question}", .response_template = "{reply}"}),
              HasSubstr("\"reply\" (response_template)"));
  EXPECT_THAT(error_with({.input_column = "quest"}), HasSubstr("\"quest\" (input_column)"));
  EXPECT_THAT(error_with({.input_column = "question", .output_column = "reply"}),
              HasSubstr("\"reply\" (output_column)"));
}

TEST(RowFormat, RefusesMalformedTemplates) {
  for (const std::string text : {"{question", "question}", "{}", "{a{b}}", "no column", "", "{{question}}"}) {
    EXPECT_THAT(error_with({.prompt_template = text}), HasSubstr("prompt_template: ")) << text;
    EXPECT_THAT(error_with({.response_template = text}), HasSubstr("response_template: ")) << text;
  }
}

TEST(RowFormat, LeavesTheOutputEmptyWhereItMayBeMissing) {
  const RowFormat format{.input_column = "question", .response_template = "= {model_output}"};
  const auto rows = read_with(format,
                              "{\"question\": \"a\"}\n{\"question\": \"b\", \"model_output\": null}\n"
                              "{\"question\": \"c\", \"model_output\": \"d\"}\n",
                              true);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].model_output, "");
  EXPECT_EQ(rows[1].model_output, "");
  EXPECT_EQ(rows[2].model_output, "= d");
  EXPECT_THAT(test::input_error([&] { read_with(format, "{\"model_output\": \"d\"}\n", true); }),
              HasSubstr("\"question\""));
}

TEST(RowFormat, ReadsCsvByTheSameNames) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("rows.csv", "q,a\n1,2\n");
  const DatasetOptions options{.format = {.prompt_template = "Q {q}", .response_template = "{a}"}};
  EXPECT_EQ(test::read_all(Dataset::from_file(path, options)).at(0).model_input, "Q 1");
  const DatasetOptions missing{.format = {.prompt_template = "{q}", .response_template = "{b}"}};
  EXPECT_THAT(test::input_error([&] { Dataset::from_file(path, missing).open(); }),
              AllOf(HasSubstr("\"b\" (response_template)"), HasSubstr("\"q\", \"a\"")));
  const auto rows =
      test::read_all(Dataset::from_file(path, {.format = {.input_column = "q"}, .output_is_optional = true}));
  EXPECT_EQ(rows.at(0).model_output, "");
}

TEST(RowFormat, WarnsOfEscapesThatTheModelWouldLearnAsTheyAre) {
  const auto warnings = [](const std::string& prompt, const std::string& response) {
    const test::CapturedLog log;
    warn_of_literal_escapes({.prompt_template = prompt, .response_template = response});
    return log.text();
  };
  EXPECT_EQ(warnings("Q: {a}\nA: ", "{b}\t"), "");
  EXPECT_THAT(warnings("Q: {a}\\nA: ", "{b}"),
              AllOf(HasSubstr("warning: prompt_template: "), HasSubstr("followed by n"), HasSubstr("double quotes")));
  EXPECT_THAT(warnings("{a}", "{b}\\t"), AllOf(HasSubstr("response_template: "), HasSubstr("followed by t")));
}

}  // namespace
}  // namespace lockstep::data
