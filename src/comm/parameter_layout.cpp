#include "lockstep/comm/parameter_layout.h"

#include <algorithm>

namespace lockstep {
namespace {

constexpr std::int64_t kAlignment = 16;  // fp32 elements in 64 bytes

bool is_decayed(const std::string& name, const at::Tensor& parameter) {
  return parameter.dim() > 1 && name.find("bias") == std::string::npos;
}

}  // namespace

ParameterLayout::ParameterLayout(const std::vector<std::pair<std::string, at::Tensor>>& named_parameters) {
  for (const bool decayed : {true, false}) {
    for (const auto& [name, parameter] : named_parameters) {
      if (!parameter.requires_grad() || is_decayed(name, parameter) != decayed) continue;
      if (std::any_of(entries_.begin(), entries_.end(),
                      [&](const Entry& entry) { return entry.parameter.is_same(parameter); })) {
        continue;
      }
      entries_.push_back({name, parameter, size_});
      size_ += (parameter.numel() + kAlignment - 1) / kAlignment * kAlignment;
    }
    if (decayed) decayed_size_ = size_;
  }
}

at::Tensor ParameterLayout::view(const at::Tensor& flat, const Entry& entry) {
  return flat.narrow(0, entry.offset, entry.parameter.numel()).view(entry.parameter.sizes());
}

}  // namespace lockstep
