#include "lockstep/models/safetensors.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <algorithm>
#include <array>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/json.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kAlignment = 64;  // of the first tensor, so that mapped ones are aligned

constexpr std::array kTypes = {at::kFloat, at::kHalf,  at::kBFloat16, at::kDouble, at::kLong,
                               at::kInt,   at::kShort, at::kChar,     at::kByte,   at::kBool};
static_assert(kTypes.size() == kSafetensorsTypes.size());  // in the same order

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
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto* type = std::ranges::find(kTypes, tensor.scalar_type());
    if (type == kTypes.end()) {
      throw Error(fmt::format("{}: '{}' has a dtype that safetensors lacks", path.string(), name));
    }
    header[name] = {{"dtype", kSafetensorsTypes[static_cast<std::size_t>(type - kTypes.begin())].name},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, offset + tensor.nbytes()}}};
    offset += tensor.nbytes();
  }
  std::string text = header.dump();
  text.append((kAlignment - (kLengthBytes + text.size()) % kAlignment) % kAlignment, ' ');
  const std::uint64_t length = text.size();
  AtomicFile file(path);
  file.write({reinterpret_cast<const char*>(&length), kLengthBytes});
  file.write(text);
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor contiguous = tensor.detach().contiguous();
    file.write({static_cast<const char*>(contiguous.const_data_ptr()), contiguous.nbytes()});
  }
  file.commit();
}

}  // namespace lockstep
