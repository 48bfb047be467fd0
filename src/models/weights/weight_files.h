#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/models/weights/weight_file.h"

namespace lockstep::models {

// Files in which transformers looks for weights, in its order. An index names its shards.
inline constexpr const char* kSafetensorsName = "model.safetensors";
inline constexpr const char* kSafetensorsIndex = "model.safetensors.index.json";
inline constexpr const char* kPickleName = "pytorch_model.bin";
inline constexpr const char* kPickleIndex = "pytorch_model.bin.index.json";

/// Gives access to all tensors of a model folder, whichever files contain them.
class WeightFiles {
 public:
  /// Maps the weight files of `folder`. Throws InputError, naming the folder or the file and tensor, if there are no
  /// weights, if a shard is missing or outside the folder, if a shard lacks a tensor that the index assigns to it, if
  /// two shards contain the same tensor, or if a file is malformed.
  explicit WeightFiles(const std::filesystem::path& folder);

  /// Returns the path of the single weight file, or of the index if there are shards.
  const std::filesystem::path& source() const { return source_; }
  std::vector<std::string> names() const;
  /// Returns a view of a tensor's mapped bytes, which is valid while this object lives and must not be written to.
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
