#pragma once

#include <map>
#include <string>
#include <vector>

#include "lockstep/models/weights/mapped_file.h"
#include "lockstep/models/weights/weight_file.h"

namespace lockstep::models {

/// Represents a file written by torch.save(state_dict), such as pytorch_model.bin. Nothing in its pickle is executed.
class PickledWeights final : public WeightFile {
 public:
  /// Maps and parses the file. Throws InputError naming the file if it is missing, truncated, malformed, in the format
  /// of torch before 1.6, or contains anything other than named tensors.
  explicit PickledWeights(std::filesystem::path path);

  const std::filesystem::path& path() const override { return file_.path(); }
  std::vector<std::string> names() const override;
  bool contains(const std::string& name) const override { return tensors_.contains(name); }
  at::Tensor tensor(const std::string& name) const override { return tensors_.at(name); }

 private:
  void read_archive();

  MappedFile file_;
  std::map<std::string, at::Tensor> tensors_;  // views of the mapped bytes
};

}  // namespace lockstep::models
