#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/core/json.h"

namespace lockstep {

/// A safetensors file mapped into memory (format: 8 bytes of header length, little endian; a JSON header; the tensors'
/// bytes). The header is checked as the reference implementation does: every message names the file.
class SafetensorsFile {
 public:
  /// Throws InputError if the file is missing, truncated or malformed.
  explicit SafetensorsFile(std::filesystem::path path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  /// A view of the mapped bytes, valid while this object lives; never write to it.
  at::Tensor tensor(const std::string& name) const;

 private:
  struct Entry {
    at::ScalarType type;
    std::vector<std::int64_t> shape;
    std::uint64_t begin, end;  // bytes from the start of the tensors
  };
  Entry read_entry(const std::string& name, const Json& json, std::uint64_t available) const;
  void parse(std::uint64_t file_size);
  [[noreturn]] void refuse(const std::string& why) const;

  std::filesystem::path path_;
  const char* data_ = nullptr;  // the mapping
  std::uint64_t size_ = 0;
  std::uint64_t tensors_begin_ = 0;
  std::map<std::string, Entry> tensors_;
};

/// Writes tensors under their names, atomically, with the metadata {"format": "pt"}.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors);

}  // namespace lockstep
