#include "models/weights/save_weights.h"

#include <fmt/format.h>
#include <map>
#include <regex>
#include <set>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/json.h"
#include "lockstep/models/weights/safetensors.h"
#include "models/weights/weight_files.h"

namespace lockstep::models {
namespace {

namespace fs = std::filesystem;
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// Divides tensors into shards like huggingface_hub's split_torch_state_dict_into_shards: in order, with a tensor that
// exceeds the limit in a shard of its own.
std::vector<NamedTensors> split(const NamedTensors& tensors, std::uint64_t item_bytes, std::uint64_t limit) {
  std::vector<NamedTensors> shards;
  NamedTensors current;
  std::uint64_t current_bytes = 0;
  for (const auto& named : tensors) {
    const std::uint64_t bytes = static_cast<std::uint64_t>(named.second.numel()) * item_bytes;
    if (bytes > limit) {
      shards.push_back({named});
      continue;
    }
    if (current_bytes + bytes > limit) {
      shards.push_back(std::exchange(current, {}));
      current_bytes = 0;
    }
    current.push_back(named);
    current_bytes += bytes;
  }
  if (!current.empty()) shards.push_back(std::move(current));
  return shards;
}

void remove_shards_but(const fs::path& folder, const std::set<std::string>& kept) {
  static const std::regex kShard("model-\\d{5}-of-\\d{5}\\.safetensors");
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (std::regex_match(name, kShard) && !kept.contains(name)) stale.push_back(entry.path());
  }
  for (const fs::path& path : stale) core::remove_file(path);
}

}  // namespace

at::Tensor weight_to_save(const std::string& parameter, const at::Tensor& own,
                          const std::map<std::string, at::Tensor>* weights) {
  if (weights == nullptr) return own;
  const auto found = weights->find(parameter);
  if (found == weights->end()) return own;
  if (found->second.sizes() == own.sizes()) return found->second;
  throw Error(fmt::format("{}: expected a weight of the shape [{}] to save, found [{}]", parameter,
                          fmt::join(own.sizes(), ", "), fmt::join(found->second.sizes(), ", ")));
}

void save_weights(const fs::path& folder, const NamedTensors& tensors, at::ScalarType type,
                  std::uint64_t max_shard_bytes) {
  const std::uint64_t item_bytes = c10::elementSize(type);
  const std::vector<NamedTensors> shards = split(tensors, item_bytes, max_shard_bytes);
  if (shards.size() == 1) {
    write_safetensors(folder / kSafetensorsName, tensors, type);
    core::remove_file(folder / kSafetensorsIndex);
    remove_shards_but(folder, {});
    return;
  }
  core::remove_file(folder / kSafetensorsIndex);  // before any shard: the index must not refer to old and new shards
  std::map<std::string, std::string> weight_map;
  std::set<std::string> files;
  std::int64_t numbers = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string file = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    write_safetensors(folder / file, shards[i], type);
    files.insert(file);
    for (const auto& [name, tensor] : shards[i]) {
      weight_map.emplace(name, file);
      numbers += tensor.numel();
    }
  }
  const std::uint64_t total_size = static_cast<std::uint64_t>(numbers) * item_bytes;
  core::write_json_file(
      folder / kSafetensorsIndex,
      {{"metadata", {{"total_parameters", numbers}, {"total_size", total_size}}}, {"weight_map", weight_map}});
  core::remove_file(folder / kSafetensorsName);  // transformers prefers it to the index
  remove_shards_but(folder, files);
}

}  // namespace lockstep::models
