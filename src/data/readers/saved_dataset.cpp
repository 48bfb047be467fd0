#include "data/readers/saved_dataset.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/core/error.h"
#include "lockstep/core/json.h"

namespace lockstep::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSplitsName = "dataset_dict.json";
constexpr const char* kStateName = "state.json";

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

std::vector<fs::path> list_files(const fs::path& folder) {
  const fs::path state_path = folder / kStateName;
  std::vector<fs::path> files;
  try {
    const Json state = core::read_json_file(state_path);
    for (const auto& file : state.at("_data_files")) files.push_back(folder / file.at("filename").get<std::string>());
  } catch (const Json::exception& problem) {
    throw InputError(
        fmt::format("{}: expected the state of a saved dataset, with \"_data_files\", found: {}; save the "
                    "dataset again with save_to_disk",
                    state_path.string(), problem.what()));
  }
  for (const auto& file : files) {
    if (is_file(file)) continue;
    throw InputError(fmt::format(
        "{}: expected a file of the saved dataset, named in {}, found none; copy the folder again, including all files",
        file.string(), kStateName));
  }
  return files;
}

std::string choose_split(const fs::path& folder, const std::optional<std::string>& split,
                         const std::string& default_split) {
  const fs::path path = folder / kSplitsName;
  std::vector<std::string> splits;
  try {
    splits = core::read_json_file(path).at("splits").get<std::vector<std::string>>();
  } catch (const Json::exception& problem) {
    throw InputError(
        fmt::format("{}: expected a DatasetDict, with \"splits\", found: {}; save it again with "
                    "save_to_disk",
                    path.string(), problem.what()));
  }
  std::string chosen = split.value_or(default_split);
  if (std::ranges::find(splits, chosen) != splits.end()) return chosen;
  throw InputError(fmt::format("{}: expected the split \"{}\"{}, found \"{}\"; name one of these as {}:SPLIT",
                               folder.string(), chosen, split ? "" : " (the default)", fmt::join(splits, "\", \""),
                               folder.string()));
}

}  // namespace

SavedDataset describe_saved_dataset(const fs::path& folder, const std::optional<std::string>& split,
                                    const std::string& default_split) {
  if (is_file(folder / kSplitsName)) {
    const std::string chosen = choose_split(folder, split, default_split);
    return {list_files(folder / chosen), chosen};
  }
  if (!is_file(folder / kStateName)) {
    throw InputError(
        fmt::format("{}: expected a dataset file, or a folder written by save_to_disk of Hugging Face datasets, found "
                    "a folder without {} and {}; give its files, e.g. {}",
                    folder.string(), kStateName, kSplitsName, (folder / "*.parquet").string()));
  }
  if (split) {
    throw InputError(
        fmt::format("{}: expected a DatasetDict with the split \"{}\", found a dataset without splits; "
                    "leave out \":{}\"",
                    folder.string(), *split, *split));
  }
  return {list_files(folder), std::nullopt};
}

}  // namespace lockstep::data
