#include "lockstep/data/contained_output.h"

#include <gmock/gmock.h>

#include "data/fixtures.h"

namespace lockstep::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Opened {
  std::vector<Row> rows;
  std::vector<std::string> positions;
};

// The text of test::ByteTokenizer's EOS is "2".
Opened open(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
            InputContainsOutput setting = InputContainsOutput::kAuto, bool has_encoder = false) {
  const auto reader =
      open_for_model(Dataset::from_columns(inputs, outputs, setting), test::ByteTokenizer(), has_encoder);
  Opened opened;
  while (auto row = reader->next()) {
    opened.rows.push_back(*row);
    opened.positions.push_back(reader->position());
  }
  return opened;
}

std::vector<std::string> inputs_of(const Opened& opened) {
  std::vector<std::string> inputs;
  for (const auto& row : opened.rows) inputs.push_back(row.model_input);
  return inputs;
}

TEST(ContainedOutput, IsTakenOffWhereEachRowEndsWithIt) {
  const auto opened = open({"Q a A b", "Q c A d", "Q e A"}, {"b", "d", ""});
  EXPECT_EQ(inputs_of(opened), (std::vector<std::string>{"Q a A ", "Q c A ", "Q e A"}));
  EXPECT_EQ(opened.rows[1].model_output, "d");
  EXPECT_EQ(opened.positions[1], "in-memory dataset: row 2");
  EXPECT_EQ(opened.positions[2], "in-memory dataset: row 3");
}

TEST(ContainedOutput, IsTakenOffWithTheTextOfEos) {
  const auto opened = open({"Q a A b2", "Q c A d2", "Q e A f"}, {"b2", "d", "f"});
  EXPECT_EQ(inputs_of(opened), (std::vector<std::string>{"Q a A ", "Q c A ", "Q e A "}));
  EXPECT_EQ(opened.rows[0].model_output, "b");
}

TEST(ContainedOutput, IsLeftWhereOneOfTheFirstRowsDiffers) {
  EXPECT_EQ(inputs_of(open({"a b", "c e"}, {"b", "d"})), (std::vector<std::string>{"a b", "c e"}));
  EXPECT_EQ(inputs_of(open({"a", "b"}, {"", ""})), (std::vector<std::string>{"a", "b"}));
}

TEST(ContainedOutput, IsLeftForEncodersAndOnDemand) {
  const std::vector<std::string> inputs{"a b"}, outputs{"b"};
  EXPECT_EQ(inputs_of(open(inputs, outputs, InputContainsOutput::kAuto, true)), inputs);
  EXPECT_EQ(inputs_of(open(inputs, outputs, InputContainsOutput::kNo)), inputs);
  EXPECT_EQ(inputs_of(open(inputs, outputs, InputContainsOutput::kYes, true)), (std::vector<std::string>{"a "}));
}

TEST(ContainedOutput, AsksForTheKeyWhereAGuessCouldBeWrong) {
  const auto asks =
      AllOf(HasSubstr("input_contains_output: expected"), HasSubstr("set it to true"), HasSubstr("false"));
  EXPECT_THAT(test::input_error([] { open({"copy"}, {"copy"}); }), asks);
  EXPECT_THAT(test::input_error([] { open({"Q: a", "b"}, {"a", "b"}); }), asks);
  EXPECT_THAT(test::input_error([] { open({"Copy: a", "Copy: b"}, {"a", "b"}); }), asks);
  EXPECT_EQ(inputs_of(open({"Copy: a", "Copy: a"}, {"a", "a"})), (std::vector<std::string>{"Copy: ", "Copy: "}));
  EXPECT_EQ(inputs_of(open({"a", "b"}, {"a", "b"}, InputContainsOutput::kNo)), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(inputs_of(open({"a", "b"}, {"a", "b"}, InputContainsOutput::kYes)), (std::vector<std::string>{"", ""}));
}

TEST(ContainedOutput, IsDecidedForAllDatasetsTogether) {
  const auto with = Dataset::from_columns({"Q a A b", "Q c A d"}, {"b", "d"});
  const auto without = Dataset::from_columns({"Q a A ", "Q c A "}, {"b", "d"});
  const auto no_outputs = Dataset::from_columns({"Q a A "}, {""});
  const test::ByteTokenizer tokenizer;
  EXPECT_EQ(find_contained_outputs({with, no_outputs}, tokenizer, false), ContainedOutputs::kPresentByGuess);
  EXPECT_EQ(find_contained_outputs({without, no_outputs}, tokenizer, false), ContainedOutputs::kAbsent);
  EXPECT_EQ(find_contained_outputs({with, without}, tokenizer, true), ContainedOutputs::kAbsent);
  EXPECT_THAT(test::input_error([&] {
                find_contained_outputs({with, without}, tokenizer, false);
              }),
              HasSubstr("input_contains_output: expected"));
}

TEST(ContainedOutput, NamesALaterRowThatDiffers) {
  std::vector<std::string> inputs(kInspectedRows + 1, "a b"), outputs(kInspectedRows + 1, "b");
  EXPECT_EQ(open(inputs, outputs).rows.back().model_input, "a ");
  inputs.back() = "b";
  EXPECT_THAT(test::input_error([&] { open(inputs, outputs); }),
              AllOf(HasSubstr("row 101: input_contains_output: "), HasSubstr("true"), HasSubstr("false")));
  inputs.back() = "a c";
  EXPECT_THAT(test::input_error([&] { open(inputs, outputs); }),
              AllOf(HasSubstr("row 101: "), HasSubstr("input_contains_output: false")));
  inputs[kInspectedRows - 1] = "a c";
  EXPECT_EQ(open(inputs, outputs).rows.front().model_input, "a b");
  EXPECT_THAT(test::input_error([&] { open({"a"}, {"b"}, InputContainsOutput::kYes); }), HasSubstr("row 1: "));
}

}  // namespace
}  // namespace lockstep::data
