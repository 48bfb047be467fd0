#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/models/weights/weight_file.h"

namespace lockstep::models {

// Where transformers looks for weights, in its order; the shards' names stand in the index.
inline constexpr const char* kSafetensorsName = "model.safetensors";
inline constexpr const char* kSafetensorsIndex = "model.safetensors.index.json";
inline constexpr const char* kPickleName = "pytorch_model.bin";
inline constexpr const char* kPickleIndex = "pytorch_model.bin.index.json";

/// All tensors of a model folder, whichever files hold them.
class WeightFiles {
 public:
  /// Throws InputError naming the folder, or the file and tensor: there are no weights, a shard is missing or lies
  /// elsewhere, lacks a tensor that the index names, two shards hold the same, or a file is malformed.
  explicit WeightFiles(const std::filesystem::path& folder);

  /// The one file, or the index of several.
  const std::filesystem::path& source() const { return source_; }
  std::vector<std::string> names() const;
  /// A view, valid while this object lives; never write to it.
  at::Tensor tensor(const std::string& name) const { return holders_.at(name)->tensor(name); }
  const std::filesystem::path& path_of(const std::string& name) const { return holders_.at(name)->path(); }

 private:
  void add(std::unique_ptr<WeightFile> file);
  void open_shards(const std::filesystem::path& folder);

  std::filesystem::path source_;
  std::vector<std::unique_ptr<WeightFile>> files_;
  std::map<std::string, const WeightFile*> holders_;  // tensor -> its file
};

}  // namespace lockstep::models
