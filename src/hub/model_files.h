#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::hub {

/// The files of a model but its weights: config.json, generation_config.json, and all that a tokenizer may have.
std::vector<std::string> description_files();

/// A file that holds all weights, or the index that names the files that do.
struct WeightsFile {
  std::string_view name;
  bool is_index;
};

/// The forms in which weights are read, the preferred first. A model needs the first that it has.
std::span<const WeightsFile> weights_files();

/// The files that an index names, each once. Throws InputError if it is not one.
std::vector<std::string> files_of_index(const std::filesystem::path& index);

}  // namespace lockstep::hub
