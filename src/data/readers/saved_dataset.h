#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::data {

/// What a folder written by `save_to_disk` of Hugging Face datasets holds.
struct SavedDataset {
  std::vector<std::filesystem::path> files;  // Arrow, in the order of the rows
  std::optional<std::string> split;          // of a DatasetDict
};

/// Reads the folder's own description. A DatasetDict needs a split: `split` if it is given, else `default_split`.
/// Throws InputError for another folder, a missing file, a split that does not exist (listing those that do), and a
/// `split` of a folder that has none.
SavedDataset describe_saved_dataset(const std::filesystem::path& folder, const std::optional<std::string>& split,
                                    const std::string& default_split);

}  // namespace lockstep::data
