#include "cli/output_path.h"

#include <gmock/gmock.h>
#include <cstdlib>
#include <filesystem>

#include "data/fixtures.h"

namespace lockstep::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kRow = "{\"model_input\": \"a\", \"model_output\": \"b\"}\n";

std::string refusal(const fs::path& output, const Dataset& dataset, const fs::path& model) {
  return test::input_error([&] { check_output_is_no_input(output.string(), dataset, model.string()); });
}

TEST(OutputPath, TheFileOfTheRowsIsRefusedUnderEveryName) {
  const test::TemporaryFolder folder;
  const fs::path rows = folder.write("rows.jsonl", kRow);
  fs::create_symlink(rows, folder.path() / "link.jsonl");
  fs::create_hard_link(rows, folder.path() / "hard.jsonl");
  fs::create_directory(folder.path() / "sub");
  const auto dataset = Dataset::from_file(rows);
  for (const std::string name : {"rows.jsonl", "./rows.jsonl", "sub/../rows.jsonl", "link.jsonl", "hard.jsonl"}) {
    EXPECT_THAT(refusal(folder.path() / name, dataset, ""), HasSubstr("--output: expected another file")) << name;
  }
  const auto copy = folder.write("copy.jsonl", kRow);
  check_output_is_no_input(copy.string(), dataset, "");
  check_output_is_no_input((folder.path() / "new.jsonl").string(), dataset, "");
}

TEST(OutputPath, FilesOfTheModelAndOfASavedDatasetAreRefused) {
  const test::TemporaryFolder model, saved, elsewhere;
  model.write("config.json", "{}");
  model.write("predictions.jsonl", "");
  saved.write("state.json", R"({"_data_files": [{"filename": "a.arrow"}]})");
  saved.write("dataset_info.json", "{}");
  saved.write("a.arrow", "");
  fs::create_directory_symlink(model.path(), elsewhere.path() / "link");
  const auto dataset = Dataset::from_file(saved.path());
  EXPECT_THAT(refusal(elsewhere.path() / "link/config.json", dataset, model.path()), HasSubstr("config.json"));
  EXPECT_THAT(refusal(saved.path() / "state.json", dataset, model.path()), HasSubstr("state.json"));
  EXPECT_THAT(refusal(saved.path() / "a.arrow", dataset, model.path()), HasSubstr("a.arrow"));
  check_output_is_no_input((model.path() / "predictions.jsonl").string(), dataset, model.path().string());
  check_output_is_no_input((model.path() / "new.json").string(), dataset, model.path().string());
}

TEST(OutputPath, ATildeIsTheHomeFolder) {
  const auto parse = [](const std::string& argument) {
    CLI::App app;
    std::string output;
    expand_home_in(app.add_option("--output", output));
    std::vector<std::string> arguments{argument};
    app.parse(arguments);
    return output;
  };
  EXPECT_EQ(parse("--output=~/a"), std::string(std::getenv("HOME")) + "/a");
  EXPECT_EQ(parse("--output=./~/a"), "./~/a");
  EXPECT_THROW(parse("--output=~me/a"), CLI::ParseError);
}

}  // namespace
}  // namespace lockstep::cli
