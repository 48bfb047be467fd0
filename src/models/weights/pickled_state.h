#pragma once

#include <torch/headeronly/core/ScalarType.h>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::models {

/// Describes a tensor as the pickle of torch.save() does; its bytes are in another record of the archive.
struct PickledTensor {
  c10::ScalarType type;
  std::string storage;           // the record is data/STORAGE
  std::int64_t storage_numbers;  // claimed size of the storage, in numbers of `type`
  std::int64_t offset;           // of the first number in the storage
  std::vector<std::int64_t> sizes, strides;
};

/// Reads the pickle of a state dict: a dict or OrderedDict of names and tensors. Executes nothing: it interprets only
/// the few globals that torch.save() writes for a state dict (the constructors of OrderedDict, tensor and parameter;
/// the storage types) and rejects any other by name. Checks that every tensor lies within the claimed size of its
/// storage. Throws InputError stating the problem. (torch::jit::Unpickler would lose the tensors of an OrderedDict with
/// attributes, which every nn.Module.state_dict() is.)
std::map<std::string, PickledTensor> read_pickled_state(std::string_view pickle);

}  // namespace lockstep::models
