#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::hub {

/// Returns the names of all files of a model except its weights: config.json, generation_config.json, and every file
/// that a tokenizer may have.
std::vector<std::string> description_files();

/// A file that holds all weights, or an index of the files that do.
struct WeightsFile {
  std::string_view name;
  bool is_index;
};

/// Returns the supported weight formats in order of preference. Of a model only the first one that it has is needed.
std::span<const WeightsFile> weights_files();

/// Returns the files that an index names, without duplicates. Throws InputError if the file is not an index.
std::vector<std::string> files_of_index(const std::filesystem::path& index);

}  // namespace lockstep::hub
