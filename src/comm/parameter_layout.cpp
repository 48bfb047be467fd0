#include "lockstep/comm/parameter_layout.h"

#include <algorithm>

namespace lockstep {
namespace {

constexpr std::int64_t kAlignment = 16;  // fp32 elements in 64 bytes

bool is_decayed(const NamedParameter& parameter) {
  return parameter.tensor.dim() > 1 && parameter.name.find("bias") == std::string::npos;
}

}  // namespace

ParameterLayout::ParameterLayout(const std::vector<NamedParameter>& parameters, const BucketOptions& options) {
  std::size_t units = 1;
  for (const NamedParameter& parameter : parameters) units = std::max(units, parameter.unit + 1);
  buckets_of_unit_.resize(units);
  for (std::size_t unit = 0; unit < units; ++unit) {
    for (const bool decayed : {true, false}) {
      for (const NamedParameter& parameter : parameters) {
        const bool is_next = parameter.unit == unit && is_decayed(parameter) == decayed;
        if (!is_next || !parameter.tensor.requires_grad()) continue;
        const bool is_known = std::ranges::any_of(
            entries_, [&](const Entry& entry) { return entry.parameter.is_same(parameter.tensor); });
        if (!is_known) add(parameter, decayed, options);
      }
    }
  }
}

void ParameterLayout::add(const NamedParameter& parameter, bool decayed, const BucketOptions& options) {
  const std::int64_t size = (parameter.tensor.numel() + kAlignment - 1) / kAlignment * kAlignment;
  std::vector<std::size_t>& of_unit = buckets_of_unit_[parameter.unit];
  const auto limit = options.bytes / static_cast<std::int64_t>(sizeof(float));
  const bool fits = options.one_a_unit ? !of_unit.empty() : !buckets_.empty() && buckets_.back().size + size <= limit;
  if (!fits) buckets_.emplace_back();
  Bucket& bucket = buckets_.back();
  if (of_unit.empty() || of_unit.back() != buckets_.size() - 1) of_unit.push_back(buckets_.size() - 1);
  entries_.push_back({parameter.name, parameter.tensor, buckets_.size() - 1, bucket.size, decayed});
  if (bucket.stretches.empty() || bucket.stretches.back().decayed != decayed) {
    bucket.stretches.push_back({{bucket.size, bucket.size}, decayed});
  }
  bucket.size += size;
  bucket.stretches.back().part.end = bucket.size;
}

at::TensorOptions ParameterLayout::options() const {
  const at::TensorOptions fp32(at::kFloat);
  return entries_.empty() ? fp32 : fp32.device(entries_.front().parameter.device());
}

at::Tensor ParameterLayout::view(const at::Tensor& bucket, const Entry& entry) {
  return bucket.narrow(0, entry.offset, entry.parameter.numel()).view(entry.parameter.sizes());
}

Ownership Ownership::whole(const ParameterLayout& layout) {
  Ownership ownership;
  for (const auto& bucket : layout.buckets()) ownership.parts.push_back({0, bucket.size});
  return ownership;
}

Ownership Ownership::shared(const ParameterLayout& layout, const Communicator& communicator) {
  Ownership ownership{.is_shared = true};
  for (const auto& bucket : layout.buckets()) {
    ownership.parts.push_back(part_of(bucket.size, communicator.rank(), communicator.world_size()));
  }
  return ownership;
}

at::Tensor Ownership::own(const at::Tensor& tensor, std::size_t bucket) const {
  return tensor.narrow(0, parts[bucket].begin, parts[bucket].size());
}

}  // namespace lockstep
