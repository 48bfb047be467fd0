#include "hub/model_files.h"

#include <fmt/format.h>
#include <array>
#include <set>

#include "lockstep/core/error.h"
#include "lockstep/core/json.h"
#include "lockstep/text/load_tokenizer.h"

namespace lockstep::hub {
namespace {

constexpr std::array<WeightsFile, 4> kWeights{{
    {"model.safetensors", false},
    {"model.safetensors.index.json", true},
    {"pytorch_model.bin", false},
    {"pytorch_model.bin.index.json", true},
}};

// Names from an index become paths, so they must not lead out of the folder.
bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string::npos;
}

}  // namespace

std::vector<std::string> description_files() {
  std::vector<std::string> files{"config.json", "generation_config.json"};
  for (const std::string_view name : text::tokenizer_file_names()) files.emplace_back(name);
  return files;
}

std::span<const WeightsFile> weights_files() { return kWeights; }

std::vector<std::string> files_of_index(const std::filesystem::path& index) {
  const Json json = core::read_json_file(index);
  std::set<std::string> files;
  try {
    for (const auto& [tensor, file] : json.at("weight_map").items()) files.insert(file.get<std::string>());
  } catch (const Json::exception&) {
    throw InputError(fmt::format("{}: expected an index of weights (\"weight_map\": tensor to file); fetch it again",
                                 index.string()));
  }
  for (const std::string& file : files) {
    if (is_plain_file_name(file)) continue;
    throw InputError(fmt::format("{}: expected names of files in the same folder, found '{}'", index.string(), file));
  }
  return {files.begin(), files.end()};
}

}  // namespace lockstep::hub
