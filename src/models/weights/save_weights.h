#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace lockstep::models {

/// Writes tensors, converted to `type` one by one, as `model.safetensors`, or where they exceed `max_shard_bytes` as
/// `model-00001-of-00003.safetensors` and so on with `model.safetensors.index.json`, cut where transformers cuts them.
/// The folder then holds no other weights that would be taken for the model's. A run that dies before the end leaves
/// the old weights whole, or none. Throws InputError for a number that `type` would make infinite.
void save_weights(const std::filesystem::path& folder, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                  at::ScalarType type, std::uint64_t max_shard_bytes);

/// The one of `weights` under a parameter's name, or its `own` where there is none. Throws Error if it is of another
/// shape.
at::Tensor weight_to_save(const std::string& parameter, const at::Tensor& own,
                          const std::map<std::string, at::Tensor>* weights);

}  // namespace lockstep::models
