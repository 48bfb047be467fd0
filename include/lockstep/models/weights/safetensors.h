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

/// Represents a safetensors file that is mapped into memory.
class SafetensorsFile final : public WeightFile {
 public:
  /// Maps the file and reads its header. Throws InputError if the file is missing, truncated or malformed.
  explicit SafetensorsFile(std::filesystem::path path);

  const std::filesystem::path& path() const override { return file_.path(); }
  std::vector<std::string> names() const override;
  bool contains(const std::string& name) const override { return header_.tensors.contains(name); }
  at::Tensor tensor(const std::string& name) const override;

 private:
  MappedFile file_;
  SafetensorsHeader header_;
};

/// Writes named tensors to a file atomically, with the metadata {"format": "pt"}. If `type` is given, converts them to
/// it, one at a time. Throws InputError, naming the tensor, if the conversion would make a finite number infinite.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       std::optional<at::ScalarType> type = std::nullopt);

}  // namespace lockstep::models
