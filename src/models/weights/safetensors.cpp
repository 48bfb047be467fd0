#include "lockstep/models/weights/safetensors.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <algorithm>
#include <array>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/json.h"

namespace lockstep::models {
namespace {

constexpr std::uint64_t kAlignment = 64;  // of the first tensor, so that mapped tensors are aligned

constexpr std::array kTypes = {at::kFloat, at::kHalf,  at::kBFloat16, at::kDouble, at::kLong,
                               at::kInt,   at::kShort, at::kChar,     at::kByte,   at::kBool};
static_assert(kTypes.size() == kSafetensorsTypes.size());  // both in the same order

at::Tensor convert(const std::filesystem::path& path, const std::string& name, const at::Tensor& tensor,
                   at::ScalarType type) {
  if (tensor.scalar_type() == type) return tensor;
  at::Tensor converted = tensor.to(type);
  if (converted.isinf().any().item<bool>() && !tensor.isinf().any().item<bool>()) {
    throw InputError(fmt::format("{}: tensor '{}' has numbers beyond the range of {}; choose bf16 or fp32",
                                 path.string(), name, c10::toString(type)));
  }
  return converted;
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::filesystem::path path)
    : file_(std::move(path)), header_(parse_safetensors_header(file_.bytes(), file_.path().string())) {}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : header_.tensors) names.push_back(name);
  return names;
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const SafetensorsEntry& entry = header_.tensors.at(name);
  const char* bytes = file_.bytes().data() + header_.tensors_begin + entry.begin;
  return at::from_blob(const_cast<char*>(bytes), entry.shape, at::TensorOptions(kTypes[entry.type]));
}

void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       std::optional<at::ScalarType> type) {
  const auto type_of = [&](const at::Tensor& tensor) { return type.value_or(tensor.scalar_type()); };
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto* known = std::ranges::find(kTypes, type_of(tensor));
    if (known == kTypes.end()) {
      throw Error(fmt::format("{}: '{}' has a dtype that safetensors does not support", path.string(), name));
    }
    const std::uint64_t bytes = static_cast<std::uint64_t>(tensor.numel()) * c10::elementSize(*known);
    header[name] = {{"dtype", kSafetensorsTypes[static_cast<std::size_t>(known - kTypes.begin())].name},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  text.append((kAlignment - (kSafetensorsLengthBytes + text.size()) % kAlignment) % kAlignment, ' ');
  const std::uint64_t length = text.size();
  core::AtomicFile file(path);
  file.write({reinterpret_cast<const char*>(&length), kSafetensorsLengthBytes});
  file.write(text);
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor contiguous = convert(path, name, tensor.detach(), type_of(tensor)).cpu().contiguous();
    file.write({static_cast<const char*>(contiguous.const_data_ptr()), contiguous.nbytes()});
  }
  file.commit();
}

}  // namespace lockstep::models
