#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

/// Where each trained parameter lies in a flat buffer: first those that weight decay applies to, then the others; each
/// starts on a 64-byte boundary.
class ParameterLayout {
 public:
  struct Entry {
    std::string name;
    at::Tensor parameter;
    std::int64_t offset;  // in elements
  };

  /// Weight decay leaves out norms (the parameters of one dimension) and every parameter with "bias" in its name, as
  /// the Hugging Face Trainer groups them. Parameters without requires_grad are left out. A tensor under two names
  /// counts once.
  explicit ParameterLayout(const std::vector<std::pair<std::string, at::Tensor>>& named_parameters);

  const std::vector<Entry>& entries() const { return entries_; }
  std::int64_t decayed_size() const { return decayed_size_; }
  /// In elements, padding between parameters included.
  std::int64_t size() const { return size_; }
  /// The part of `flat` that belongs to `entry`, in the parameter's shape.
  static at::Tensor view(const at::Tensor& flat, const Entry& entry);

 private:
  std::vector<Entry> entries_;
  std::int64_t decayed_size_ = 0;
  std::int64_t size_ = 0;
};

}  // namespace lockstep
