#include <arrow/array.h>
#include <arrow/array/builder_binary.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/writer.h>
#include <arrow/json/from_string.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <parquet/arrow/writer.h>
#include <random>

#include "data/fixtures.h"

namespace lockstep::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;

enum class Format { kFile, kStream, kParquet };

std::string name_of(Format format) { return format == Format::kParquet ? "rows.parquet" : "rows.arrow"; }

std::shared_ptr<arrow::Array> make_array(const std::shared_ptr<arrow::DataType>& type, const std::string& json) {
  return arrow::json::ArrayFromJSONString(type, json).ValueOrDie();
}

// Returns a table with the columns model_input and model_output.
std::shared_ptr<arrow::Table> make_table(const std::shared_ptr<arrow::Array>& input,
                                         const std::shared_ptr<arrow::Array>& output) {
  const auto schema = arrow::schema({arrow::field("model_input", input->type()), arrow::field("other", input->type()),
                                     arrow::field("model_output", output->type())});
  return arrow::Table::Make(schema, {input, input, output});
}

std::string to_bytes(const arrow::Table& table, Format format, std::int64_t batch_rows = 2) {
  const auto sink = arrow::io::BufferOutputStream::Create().ValueOrDie();
  if (format == Format::kParquet) {
    const auto properties = parquet::ArrowWriterProperties::Builder().store_schema()->build();
    EXPECT_TRUE(parquet::arrow::WriteTable(table, arrow::default_memory_pool(), sink, batch_rows,
                                           parquet::default_writer_properties(), properties)
                    .ok());
  } else {
    const auto writer = (format == Format::kFile ? arrow::ipc::MakeFileWriter(sink, table.schema())
                                                 : arrow::ipc::MakeStreamWriter(sink, table.schema()))
                            .ValueOrDie();
    EXPECT_TRUE(writer->WriteTable(table, batch_rows).ok());
    EXPECT_TRUE(writer->Close().ok());
  }
  return sink->Finish().ValueOrDie()->ToString();
}

std::vector<Row> read_bytes(const std::string& bytes, Format format) {
  const test::TemporaryFolder folder;
  return test::read_all(Dataset::from_file(folder.write(name_of(format), bytes)));
}

std::string error_of(const arrow::Table& table, Format format) {
  return test::input_error([&] { read_bytes(to_bytes(table, format), format); });
}

class ArrowReader : public testing::TestWithParam<Format> {};

TEST_P(ArrowReader, GivesTheTextOfEveryTypeThatHasOne) {
  struct Case {
    std::shared_ptr<arrow::DataType> type;
    std::string json;
    std::vector<std::string> texts;
  };
  const std::vector<Case> cases{
      {arrow::utf8(), R"(["", "é\n", "a"])", {"", "é\n", "a"}},
      {arrow::large_utf8(), R"(["", "é\n", "a"])", {"", "é\n", "a"}},
      {arrow::utf8_view(),
       R"(["", "é\n", "longer than what a view holds"])",
       {"", "é\n", "longer than what a view holds"}},
      {arrow::dictionary(arrow::int8(), arrow::utf8()), R"(["x", "y", "x"])", {"x", "y", "x"}},
      {arrow::boolean(), "[true, false, true]", {"true", "false", "true"}},
      {arrow::int8(), "[-128, 0, 127]", {"-128", "0", "127"}},
      {arrow::uint8(), "[255, 0, 1]", {"255", "0", "1"}},
      {arrow::int64(), "[-9223372036854775808, 0, 7]", {"-9223372036854775808", "0", "7"}},
      {arrow::uint64(), "[18446744073709551615, 0, 7]", {"18446744073709551615", "0", "7"}},
      {arrow::float64(), "[1, -0.1, 1e300]", {"1.0", "-0.1", "1e+300"}},
      {arrow::float64(), "[1e16, 0.0001, 0.00001]", {"1e+16", "0.0001", "1e-05"}},
      {arrow::float32(), "[1, 0.1, 0.5]", {"1.0", "0.1", "0.5"}},
      {arrow::decimal128(5, 2), R"(["1.50", "-0.01", "123.00"])", {"1.50", "-0.01", "123.00"}},
  };
  for (const auto& [type, json, texts] : cases) {
    // Not every Parquet writer supports STRING_VIEW.
    if (GetParam() == Format::kParquet && type->id() == arrow::Type::STRING_VIEW) continue;
    const auto array = make_array(type, json);
    const auto rows = read_bytes(to_bytes(*make_table(array, array), GetParam()), GetParam());
    ASSERT_EQ(rows.size(), 3U) << type->ToString();
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(rows[i].model_input, texts[i]) << type->ToString();
      EXPECT_EQ(rows[i].model_output, texts[i]) << type->ToString();
    }
  }
}

TEST_P(ArrowReader, NamesTheRowOfNullsAndOfWhatIsNoNumber) {
  const auto good = make_array(arrow::utf8(), R"(["a", "b", "c"])");
  const auto error = [&](const std::shared_ptr<arrow::DataType>& type, const std::string& json) {
    return error_of(*make_table(good, make_array(type, json)), GetParam());
  };
  EXPECT_THAT(error(arrow::utf8(), R"(["a", "b", null])"),
              AllOf(HasSubstr(name_of(GetParam()) + ": row 3: "), HasSubstr("\"model_output\""), HasSubstr("null")));
  EXPECT_THAT(error(arrow::float64(), "[1, NaN, 1]"), AllOf(HasSubstr("row 2"), HasSubstr("nan")));
  EXPECT_THAT(error(arrow::float64(), "[Inf, 1, 1]"), AllOf(HasSubstr("row 1"), HasSubstr("inf")));
}

TEST_P(ArrowReader, NamesOtherTypesAndMissingColumns) {
  const auto good = make_array(arrow::utf8(), R"(["a"])");
  const auto error = [&](const std::shared_ptr<arrow::DataType>& type, const std::string& json) {
    return error_of(*make_table(good, make_array(type, json)), GetParam());
  };
  EXPECT_THAT(error(arrow::list(arrow::utf8()), R"([["a"]])"),
              AllOf(HasSubstr("\"model_output\""), HasSubstr("the type list")));
  EXPECT_THAT(error(arrow::struct_({arrow::field("x", arrow::int32())}), R"([{"x": 1}])"), HasSubstr("struct"));
  EXPECT_THAT(error(arrow::binary(), R"(["a"])"), HasSubstr("binary"));
  EXPECT_THAT(error(arrow::timestamp(arrow::TimeUnit::MILLI), "[1]"), HasSubstr("timestamp"));
  const auto renamed = make_table(good, good)->RenameColumns({"model_input", "a", "b"}).ValueOrDie();
  EXPECT_THAT(error_of(*renamed, GetParam()),
              AllOf(HasSubstr("\"model_output\""), HasSubstr("\"model_input\", \"a\", \"b\"")));
  const auto twice = make_table(good, good)->RenameColumns({"model_input", "model_input", "model_output"}).ValueOrDie();
  EXPECT_THAT(error_of(*twice, GetParam()), HasSubstr("it twice"));
}

TEST_P(ArrowReader, NamesTheByteThatIsNotUtf8) {
  arrow::StringBuilder builder;
  ASSERT_TRUE(builder.AppendValues({"a", "b\xff", "c"}).ok());
  const auto array = builder.Finish().ValueOrDie();
  EXPECT_THAT(error_of(*make_table(array, array), GetParam()),
              AllOf(HasSubstr("row 2"), HasSubstr("UTF-8"), HasSubstr("0xff at byte 2")));
}

TEST_P(ArrowReader, ReadsManyBatches) {
  arrow::StringBuilder builder;
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(builder.Append(std::to_string(i)).ok());
  const auto array = builder.Finish().ValueOrDie();
  for (const std::int64_t batch_rows : {1, 7, 10000}) {
    const auto rows = read_bytes(to_bytes(*make_table(array, array), GetParam(), batch_rows), GetParam());
    ASSERT_EQ(rows.size(), 5000U);
    for (int i = 0; i < 5000; ++i) ASSERT_EQ(rows[static_cast<std::size_t>(i)].model_input, std::to_string(i));
  }
  EXPECT_TRUE(read_bytes(to_bytes(*make_table(array, array)->Slice(0, 0), GetParam()), GetParam()).empty());
}

// A damaged file must give rows or an error that names it.
TEST_P(ArrowReader, SurvivesDamage) {
  const auto input = make_array(arrow::utf8(), R"(["a", "bb", "ccc", "", "eeeee"])");
  const auto output = make_array(arrow::dictionary(arrow::int8(), arrow::utf8()), R"(["x", "y", "x", "y", "y"])");
  const std::string whole = to_bytes(*make_table(input, output), GetParam());
  const auto seed = std::random_device()();
  std::mt19937 random(seed);
  int refused = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string bytes = whole;
    if (i % 3 == 0) {
      bytes.resize(random() % bytes.size());
    } else {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    try {
      read_bytes(bytes, GetParam());
    } catch (const Error& error) {
      ++refused;
      EXPECT_THAT(error.what(), HasSubstr(name_of(GetParam()))) << "seed " << seed;
    }
  }
  EXPECT_GT(refused, 200) << "seed " << seed;
}

INSTANTIATE_TEST_SUITE_P(File, ArrowReader, testing::Values(Format::kFile));
INSTANTIATE_TEST_SUITE_P(Stream, ArrowReader, testing::Values(Format::kStream));
INSTANTIATE_TEST_SUITE_P(Parquet, ArrowReader, testing::Values(Format::kParquet));

}  // namespace
}  // namespace lockstep::data
