#include "models/weights/weight_files.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>

#include "lockstep/core/error.h"
#include "lockstep/core/json.h"
#include "lockstep/models/weights/safetensors.h"
#include "models/weights/pickled_weights.h"

namespace lockstep::models {
namespace {

namespace fs = std::filesystem;

constexpr std::array kSources = {kSafetensorsName, kSafetensorsIndex, kPickleName, kPickleIndex};

std::unique_ptr<WeightFile> open_file(const fs::path& path) {
  if (path.extension() == ".safetensors") return std::make_unique<SafetensorsFile>(path);
  return std::make_unique<PickledWeights>(path);
}

// Returns whether `name` is a file name without a path. Shards must be in the folder of the index.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

std::map<std::string, std::string> read_weight_map(const fs::path& index) {
  const Json json = core::read_json_file(index);
  const auto refuse = [&](const std::string& why) {
    throw InputError(fmt::format("{}: {}; fetch or save the model again", index.string(), why));
  };
  const auto found = json.is_object() ? json.find("weight_map") : json.end();
  if (found == json.end() || !found->is_object() || found->empty()) {
    refuse("expected an object 'weight_map' of tensors and their files");
  }
  std::map<std::string, std::string> files;  // tensor -> file
  for (const auto& [tensor, file] : found->items()) {
    if (!file.is_string() || !is_plain_name(file.get<std::string>())) {
      refuse(fmt::format("tensor '{}': expected the name of a file in the same folder, found {}", tensor,
                         file.dump(-1, ' ', false, Json::error_handler_t::replace)));
    }
    files.emplace(tensor, file.get<std::string>());
  }
  return files;
}

}  // namespace

WeightFiles::WeightFiles(const fs::path& folder) {
  const auto* found = std::ranges::find_if(kSources, [&](const char* name) { return fs::exists(folder / name); });
  if (found == kSources.end()) {
    throw InputError(
        fmt::format("{}: expected weights in {}, found none; give a folder that has them, or train from random weights "
                    "(from_scratch: true)",
                    folder.string(), fmt::join(kSources, ", ")));
  }
  source_ = folder / *found;
  if (source_.extension() == ".json") {
    open_shards(folder);
  } else {
    add(open_file(source_));
  }
}

void WeightFiles::open_shards(const fs::path& folder) {
  const auto weight_map = read_weight_map(source_);
  std::map<std::string, std::string> shards;  // file -> one of its tensors
  for (const auto& [tensor, file] : weight_map) shards.emplace(file, tensor);
  for (const auto& [file, tensor] : shards) {
    if (!fs::exists(folder / file)) {
      throw InputError(fmt::format("{}: the shard is missing; {} expects it to hold '{}'", (folder / file).string(),
                                   source_.filename().string(), tensor));
    }
    add(open_file(folder / file));
  }
  for (const auto& [tensor, file] : weight_map) {
    const auto holder = holders_.find(tensor);
    if (holder != holders_.end() && holder->second->path().filename() == file) continue;
    throw InputError(fmt::format("{}: tensor '{}' is missing, expected by {}; fetch or save the model again",
                                 (folder / file).string(), tensor, source_.filename().string()));
  }
}

void WeightFiles::add(std::unique_ptr<WeightFile> file) {
  for (const std::string& name : file->names()) {
    const auto [holder, is_new] = holders_.emplace(name, file.get());
    if (is_new) continue;
    throw InputError(
        fmt::format("{}: tensor '{}' is also in {}, expected it in one shard; fetch or save the model again",
                    file->path().string(), name, holder->second->path().filename().string()));
  }
  files_.push_back(std::move(file));
}

std::vector<std::string> WeightFiles::names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : holders_) names.push_back(name);
  return names;
}

}  // namespace lockstep::models
