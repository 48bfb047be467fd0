#pragma once

#include <torch/headeronly/core/ScalarType.h>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::models {

/// A tensor as the pickle of torch.save() describes it; its bytes lie in another record of the archive.
struct PickledTensor {
  c10::ScalarType type;
  std::string storage;           // the record is data/STORAGE
  std::int64_t storage_numbers;  // that the storage claims to hold, of `type`
  std::int64_t offset;           // of the first, in the storage
  std::vector<std::int64_t> sizes, strides;
};

/// Reads the pickle of a state dict: a dict or OrderedDict of names and tensors. Nothing is ever called: the few
/// globals that torch.save() writes for one are understood (the constructors of OrderedDict, tensor and parameter; the
/// storage types), any other is refused by name. Every tensor lies within what its storage claims.
/// (torch::jit::Unpickler would lose the tensors of an OrderedDict with attributes, as every nn.Module.state_dict() is
/// one.) Throws InputError saying what is wrong.
std::map<std::string, PickledTensor> read_pickled_state(std::string_view pickle);

}  // namespace lockstep::models
