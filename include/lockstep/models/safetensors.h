#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/models/safetensors_header.h"

namespace lockstep {

/// A safetensors file mapped into memory.
class SafetensorsFile {
 public:
  /// Throws InputError if the file is missing, truncated or malformed.
  explicit SafetensorsFile(std::filesystem::path path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const { return header_.tensors.contains(name); }
  /// A view of the mapped bytes, valid while this object lives; never write to it.
  at::Tensor tensor(const std::string& name) const;

 private:
  void unmap() const;

  std::filesystem::path path_;
  const char* data_ = nullptr;  // the mapping
  std::uint64_t size_ = 0;
  SafetensorsHeader header_;
};

/// Writes tensors under their names, atomically, with the metadata {"format": "pt"}.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors);

}  // namespace lockstep
