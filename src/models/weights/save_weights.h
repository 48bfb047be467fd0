#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace lockstep::models {

/// Writes tensors to `model.safetensors`, converted to `type` one at a time. If they exceed `max_shard_bytes`, writes
/// shards (`model-00001-of-00003.safetensors`, ...) and `model.safetensors.index.json` instead, divided as transformers
/// divides them. Removes stale files that would be taken for the model's weights. If the process dies midway, the
/// folder never holds a loadable mixture of old and new weights. Throws InputError if the conversion would make a
/// finite number infinite.
void save_weights(const std::filesystem::path& folder, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                  at::ScalarType type, std::uint64_t max_shard_bytes);

/// Returns the entry of `weights` for a parameter, or `own` if there is none. Throws Error if the entry has another
/// shape.
at::Tensor weight_to_save(const std::string& parameter, const at::Tensor& own,
                          const std::map<std::string, at::Tensor>* weights);

}  // namespace lockstep::models
