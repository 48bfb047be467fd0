#pragma once

#include <ATen/core/Tensor.h>
#include <filesystem>
#include <string>
#include <vector>

namespace lockstep::models {

/// A file of named tensors, mapped into memory: what is read of it is page cache, not a copy.
class WeightFile {
 public:
  virtual ~WeightFile() = default;
  virtual const std::filesystem::path& path() const = 0;
  virtual std::vector<std::string> names() const = 0;
  virtual bool contains(const std::string& name) const = 0;
  /// A view of the mapped bytes of one of `names()`, valid while this object lives; never write to it.
  virtual at::Tensor tensor(const std::string& name) const = 0;
};

}  // namespace lockstep::models
