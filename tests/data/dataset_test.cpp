#include "lockstep/data/dataset.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "data/fixtures.h"

namespace lockstep::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string json_lines_error(const std::string& bytes) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("rows.jsonl", bytes);
  return test::input_error([&] { test::read_all(Dataset::from_file(path)); });
}

std::string csv_error(const std::string& bytes) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("rows.csv", bytes);
  return test::input_error([&] { test::read_all(Dataset::from_file(path)); });
}

std::vector<Row> read_file_rows(const std::string& name, const std::string& bytes) {
  const test::TemporaryFolder folder;
  return test::read_all(Dataset::from_file(folder.write(name, bytes)));
}

constexpr const char* kGoodLine = "{\"model_input\": \"a\", \"model_output\": \"b\"}\n";

TEST(JsonLines, SkipsByteOrderMarkAndBlankLinesAndTakesBothLineEnds) {
  const auto rows =
      read_file_rows("r.jsonl",
                     "\xEF\xBB\xBF{\"model_input\": \"a\", \"model_output\": \"b\"}\r\n\r\n  \n"
                     "{\"x\": [1, {\"model_input\": 2}], \"model_output\": \"\", \"model_input\": \"\\u00e9\\n\"}");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].model_input, "a");
  EXPECT_EQ(rows[0].model_output, "b");
  EXPECT_EQ(rows[1].model_input, "é\n");
  EXPECT_EQ(rows[1].model_output, "");
}

TEST(JsonLines, KeepsNumbersAndBooleansAsTheyAreWritten) {
  for (const std::string text : {"1.50", "0", "-0", "-7", "18446744073709551616", "1e5", "-2.50E-3", "true", "false"}) {
    const auto rows = read_file_rows("r.json", fmt::format("{{\"model_input\": {}, \"model_output\": \"b\"}}\n", text));
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].model_input, text);
  }
}

TEST(JsonLines, NamesLineAndByteOfMalformedJson) {
  const auto message =
      json_lines_error(std::string(kGoodLine) + "\n{\"model_input\": \"a\", \"model_output\" \"b\"}\n");
  EXPECT_THAT(message, AllOf(HasSubstr("rows.jsonl: line 3: "), HasSubstr("byte 39"), HasSubstr("malformed JSON")));
}

TEST(JsonLines, NamesWhatIsWrongWithARow) {
  EXPECT_THAT(json_lines_error("{\"model_input\": \"a\", \"answer\": \"b\"}\n"),
              AllOf(HasSubstr("line 1"), HasSubstr("a column \"model_output\""), HasSubstr("\"answer\"")));
  EXPECT_THAT(json_lines_error(std::string(kGoodLine) + "{\"model_input\": null, \"model_output\": \"b\"}\n"),
              AllOf(HasSubstr("line 2"), HasSubstr("\"model_input\""), HasSubstr("null")));
  EXPECT_THAT(json_lines_error("{\"model_input\": \"a\", \"model_output\": [\"b\"]}\n"),
              HasSubstr("an array inside it"));
  EXPECT_THAT(json_lines_error("{\"model_input\": {\"t\": 1}, \"model_output\": \"\"}\n"),
              HasSubstr("an object inside"));
  EXPECT_THAT(json_lines_error("[\"a\", \"b\"]\n"), AllOf(HasSubstr("a JSON object"), HasSubstr("an array")));
  EXPECT_THAT(json_lines_error("\"a\"\n"), AllOf(HasSubstr("a JSON object"), HasSubstr("a string")));
  EXPECT_THAT(json_lines_error("{\"model_input\": \"a\", \"model_input\": \"c\", \"model_output\": \"b\"}\n"),
              HasSubstr("two of them"));
  EXPECT_THAT(json_lines_error(std::string(kGoodLine) + "{\"model_input\": \"a\", \"model_out"), HasSubstr("line 2"));
}

TEST(JsonLines, NamesTheByteThatIsNotUtf8) {
  for (const std::string bad : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    const auto message =
        json_lines_error(std::string(kGoodLine) + "{\"model_input\": \"a" + bad + "\", \"model_output\": \"b\"}\n");
    EXPECT_THAT(message, AllOf(HasSubstr("line 2"), HasSubstr("UTF-8"), HasSubstr("byte 19 of the line")));
  }
}

TEST(JsonLines, GivesThePositionOfTheLastRow) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("r.jsonl", std::string("\n") + kGoodLine + kGoodLine);
  const auto reader = Dataset::from_file(path).open();
  reader->next();
  EXPECT_EQ(reader->position(), path.string() + ": line 2");
  reader->next();
  EXPECT_EQ(reader->position(), path.string() + ": line 3");
  EXPECT_FALSE(reader->next());
  EXPECT_EQ(reader->position(), path.string() + ": line 3");
}

// Reads the blocks after their RowBlocks is gone, as other threads may.
TEST(JsonLines, BlocksHoldTheRowsInTheirOrder) {
  const test::TemporaryFolder folder;
  std::string text;
  constexpr int kRows = 20000;
  for (int i = 0; i < kRows; ++i) {
    text += fmt::format("{{\"model_input\": \"{}\", \"model_output\": \"b\"}}\n{}", i, i % 7 == 0 ? "\n" : "");
  }
  const auto path = folder.write("r.jsonl", text + "{\"model_input\": 1}\n" + kGoodLine);
  std::vector<std::unique_ptr<RowReader>> blocks;
  {
    const auto all = Dataset::from_file(path).open_blocks();
    while (auto block = all->next()) blocks.push_back(std::move(block));
    EXPECT_DOUBLE_EQ(all->progress(), 1.0);
  }
  EXPECT_GT(blocks.size(), 2U);
  int rows = 0;
  const auto message = test::input_error([&] {
    for (const auto& block : blocks) {
      while (const auto row = block->next()) {
        ASSERT_EQ(row->model_input, std::to_string(rows));
        ASSERT_EQ(block->position(), fmt::format("{}: line {}", path.string(), rows + 1 + (rows + 6) / 7));
        ++rows;
      }
    }
  });
  EXPECT_EQ(rows, kRows);
  EXPECT_THAT(message, HasSubstr(fmt::format("line {}", kRows + 1 + (kRows + 6) / 7)));
}

TEST(Csv, ReadsQuotedNewlinesAndIgnoresOtherColumns) {
  const auto rows = read_file_rows("r.csv",
                                   "id,model_output,model_input\r\n1,\"b, \"\"quoted\"\"\",\"two\nlines\"\r\n"
                                   "2,\"\",007\r\n");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].model_input, "two\nlines");
  EXPECT_EQ(rows[0].model_output, "b, \"quoted\"");
  EXPECT_EQ(rows[1].model_input, "007");
  EXPECT_EQ(rows[1].model_output, "");
}

TEST(Csv, KeepsTextThatLooksLikeSomethingElse) {
  const auto rows =
      read_file_rows("r.csv", "\xEF\xBB\xBFmodel_input,model_output\nNA,null\n1.50,true\n2020-01-01, x \n");
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].model_input, "NA");
  EXPECT_EQ(rows[0].model_output, "null");
  EXPECT_EQ(rows[1].model_input, "1.50");
  EXPECT_EQ(rows[2].model_output, " x ");
}

TEST(Csv, ReadsFilesOfManyBlocks) {
  std::string text = "model_input,model_output\n";
  const std::string filler(1000, 'x');
  constexpr int kRows = 20000;  // 20 MB, more than two blocks
  for (int i = 0; i < kRows; ++i) text += fmt::format("\"{}\n{}\",{}\n", i, filler, i);
  const auto rows = read_file_rows("r.csv", text);
  ASSERT_EQ(rows.size(), static_cast<std::size_t>(kRows));
  for (int i = 0; i < kRows; ++i) ASSERT_EQ(rows[static_cast<std::size_t>(i)].model_output, std::to_string(i));
}

TEST(Csv, NamesRowAndColumnOfWhatIsWrong) {
  EXPECT_THAT(csv_error("model_input,answer\na,b\n"),
              AllOf(HasSubstr("rows.csv"), HasSubstr("\"model_output\""), HasSubstr("\"answer\"")));
  EXPECT_THAT(csv_error("model_input,model_output,model_input\na,b,c\n"), HasSubstr("twice"));
  EXPECT_THAT(csv_error("model_input,model_output\na,b\nc,\n"),
              AllOf(HasSubstr("row 2"), HasSubstr("\"model_output\""), HasSubstr("found nothing")));
  EXPECT_THAT(csv_error("model_input,model_output\na,b\nc,d,e\n"),
              AllOf(HasSubstr("rows.csv"), HasSubstr("row 2 "), HasSubstr("got 3")));
  EXPECT_THAT(csv_error("model_input,model_output\na,b\nc,\xff\n"), AllOf(HasSubstr("row 2"), HasSubstr("UTF-8")));
  EXPECT_THAT(csv_error(""), HasSubstr("empty file"));
  EXPECT_THAT(csv_error(std::string("\xff\xfem\0", 4)), HasSubstr("UTF-16"));
  EXPECT_THAT(csv_error("model_input,model_output\na,\"" + std::string(20 << 20, 'x')), HasSubstr("never closed"));
}

TEST(Csv, TextAfterAClosingQuoteAndOpenQuotesNameRowAndLine) {
  EXPECT_THAT(csv_error("model_input,model_output\na,b\n\"Wait,B\nsay \"x\",C\n"),
              AllOf(HasSubstr("row 2 (the header not counted), line 4: "), HasSubstr("found the byte 'x'"),
                    HasSubstr("opened on line 3")));
  EXPECT_THAT(csv_error("model_input,model_output\r\na,b\r\n\"c\r\n,d\r\ne,f\r\n"),
              AllOf(HasSubstr("row 2 (the header not counted), line 3: "), HasSubstr("found the end of the file"),
                    HasSubstr("opened on line 3")));
  EXPECT_THAT(csv_error("\"model_input,model_output\na,b\n"), HasSubstr("rows.csv: header, line 1: "));
  EXPECT_THAT(csv_error("model_input,model_output\na,b\n\nc,\"" + std::string(5 << 20, 'x') + "\"\n"),
              AllOf(HasSubstr("row 2 (the header not counted), line 4: "), HasSubstr("at most 4 MB"),
                    HasSubstr("opened on line 4")));
  EXPECT_THAT(csv_error("model_input,model_output\na," + std::string(5 << 20, 'x') + "\n"),
              AllOf(HasSubstr("row 1 (the header not counted), line 2: "), HasSubstr("split the row")));
}

TEST(Csv, DelimiterAndQuoteCanBeNamed) {
  const test::TemporaryFolder folder;
  const auto read = [&](std::string_view text, std::optional<std::string> delimiter, std::optional<std::string> quote) {
    RowFormat format;
    format.csv_delimiter = std::move(delimiter);
    format.csv_quote = std::move(quote);
    return test::read_all(Dataset::from_file(folder.write("r.csv", text), {.format = format}));
  };
  EXPECT_EQ(read("model_input;model_output\n'a;''b';\"c\n", ";", "'").front().model_input, "a;'b");
  EXPECT_EQ(read("model_input\tmodel_output\na,b\tc\n", "tab", "\"").front().model_input, "a,b");
  EXPECT_EQ(read("model_input,model_output\n\"a,b\"c\n", std::nullopt, std::nullopt).front().model_input, "\"a");
  for (const std::string mark : {"", "ab", "\n", "\xC3\xA4"}) {
    EXPECT_THAT(test::input_error([&] { read("a", mark, "'"); }), HasSubstr("csv_delimiter: expected one ASCII"));
    EXPECT_THAT(test::input_error([&] { read("a", ";", mark); }), HasSubstr("csv_quote: expected one ASCII"));
  }
  EXPECT_THAT(test::input_error([&] { read("a", ";", ";"); }), HasSubstr("csv_quote: expected another character"));
}

TEST(Csv, HeaderAloneHasNoRows) { EXPECT_TRUE(read_file_rows("r.csv", "model_input,model_output\n").empty()); }

TEST(Dataset, RefusesUnequalColumns) {
  EXPECT_THAT(test::input_error([] {
                Dataset::from_columns({"a", "b"}, {"c"});
              }),
              AllOf(HasSubstr("2"), HasSubstr("1")));
}

TEST(Dataset, NamesRowOfInMemoryTextThatIsNotUtf8) {
  const auto dataset = Dataset::from_columns({"a", "b"}, {"c", "\x80"});
  EXPECT_THAT(test::input_error([&] { test::read_all(dataset); }),
              AllOf(HasSubstr("row 2"), HasSubstr("model_output")));
}

TEST(Dataset, OpensIndependentReaders) {
  const auto dataset = Dataset::from_columns({"a", "b"}, {"c", "d"});
  const auto first = dataset.open();
  first->next();
  EXPECT_EQ(dataset.open()->next()->model_input, "a");
  EXPECT_EQ(first->next()->model_input, "b");
}

TEST(Dataset, NamesMissingFilesFoldersAndUnknownKinds) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(test::input_error([&] { Dataset::from_file(folder.path() / "none.jsonl"); }), HasSubstr("none.jsonl"));
  EXPECT_THAT(test::input_error([&] { Dataset::from_file(folder.path()); }), HasSubstr("folder"));
  const auto text = folder.write("rows.txt", "");
  EXPECT_THAT(test::input_error([&] { Dataset::from_file(text); }),
              AllOf(HasSubstr(".txt"), HasSubstr(".jsonl"), HasSubstr(".csv")));
}

}  // namespace
}  // namespace lockstep::data
