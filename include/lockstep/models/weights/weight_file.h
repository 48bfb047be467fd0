#pragma once

#include <ATen/core/Tensor.h>
#include <filesystem>
#include <string>
#include <vector>

namespace lockstep::models {

/// Represents a file of named tensors that is mapped into memory: its tensors live in the page cache, not in a copy.
class WeightFile {
 public:
  virtual ~WeightFile() = default;
  virtual const std::filesystem::path& path() const = 0;
  virtual std::vector<std::string> names() const = 0;
  virtual bool contains(const std::string& name) const = 0;
  /// Returns a view of the mapped bytes of a tensor, which must be one of names(). The view is valid while this object
  /// lives and must not be written to.
  virtual at::Tensor tensor(const std::string& name) const = 0;
};

}  // namespace lockstep::models
