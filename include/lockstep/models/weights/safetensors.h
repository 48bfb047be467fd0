#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/models/weights/mapped_file.h"
#include "lockstep/models/weights/safetensors_header.h"
#include "lockstep/models/weights/weight_file.h"

namespace lockstep::models {

/// A safetensors file mapped into memory.
class SafetensorsFile final : public WeightFile {
 public:
  /// Throws InputError if the file is missing, truncated or malformed.
  explicit SafetensorsFile(std::filesystem::path path);

  const std::filesystem::path& path() const override { return file_.path(); }
  std::vector<std::string> names() const override;
  bool contains(const std::string& name) const override { return header_.tensors.contains(name); }
  at::Tensor tensor(const std::string& name) const override;

 private:
  MappedFile file_;
  SafetensorsHeader header_;
};

/// Writes tensors under their names, atomically, with the metadata {"format": "pt"}; converted to `type`, if it is
/// given, one by one. Throws InputError naming the tensor that has a number which `type` would make infinite.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       std::optional<at::ScalarType> type = std::nullopt);

}  // namespace lockstep::models
