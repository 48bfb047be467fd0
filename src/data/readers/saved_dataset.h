#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::data {

/// The contents of a folder written by `save_to_disk` of Hugging Face datasets.
struct SavedDataset {
  std::vector<std::filesystem::path> files;  // Arrow files, in the order of the rows
  std::optional<std::string> split;          // the chosen split; nullopt if the folder is not a DatasetDict
};

/// Reads the folder's metadata. In a DatasetDict, chooses `split` if it is given, else `default_split`. Throws
/// InputError for any other folder, for a missing file, for a split that does not exist (the message lists those that
/// do), and for a `split` of a folder that has no splits.
SavedDataset describe_saved_dataset(const std::filesystem::path& folder, const std::optional<std::string>& split,
                                    const std::string& default_split);

}  // namespace lockstep::data
