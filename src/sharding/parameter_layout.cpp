#include "lockstep/sharding/parameter_layout.h"

#include <algorithm>
#include <unordered_set>

namespace lockstep::sharding {
namespace {

constexpr std::int64_t kAlignment = 16;  // fp32 elements in 64 bytes

bool is_decayed(const NamedParameter& parameter) {
  return parameter.tensor.dim() > 1 && parameter.name.find("bias") == std::string::npos;
}

std::int64_t aligned_size(const NamedParameter& parameter) {
  return (parameter.tensor.numel() + kAlignment - 1) / kAlignment * kAlignment;
}

// Returns whether a bucket of `size` elements cannot take `more`. Biases share a bucket with the next weight, however
// large that is.
bool is_full(std::int64_t size, std::int64_t more, std::int64_t limit) {
  constexpr std::int64_t kShareOfBiases = 8;
  return size + more > limit && size > limit / kShareOfBiases;
}

}  // namespace

ParameterLayout::ParameterLayout(const std::vector<NamedParameter>& parameters, const BucketOptions& options) {
  std::size_t units = 1;
  for (const NamedParameter& parameter : parameters) units = std::max(units, parameter.unit + 1);
  buckets_of_unit_.resize(units);
  const std::int64_t limit = options.bytes / static_cast<std::int64_t>(sizeof(float));
  std::unordered_set<const at::TensorImpl*> known;
  for (std::size_t unit = 0; unit < units; ++unit) {
    std::vector<const NamedParameter*> of_unit;
    std::int64_t size = 0;
    for (const bool decayed : {false, true}) {
      for (const NamedParameter& parameter : parameters) {
        const bool is_next = parameter.unit == unit && is_decayed(parameter) == decayed;
        if (!is_next || !parameter.tensor.requires_grad()) continue;
        if (!known.insert(parameter.tensor.unsafeGetTensorImpl()).second) continue;
        of_unit.push_back(&parameter);
        size += aligned_size(parameter);
      }
    }
    const bool shares_bucket = options.spans_units && !buckets_.empty() && buckets_.back().size + size <= limit;
    for (const NamedParameter* parameter : of_unit) {
      const bool is_first = parameter == of_unit.front();
      if (is_first ? !shares_bucket : is_full(buckets_.back().size, aligned_size(*parameter), limit)) {
        buckets_.emplace_back();
      }
      add(*parameter);
    }
  }
}

void ParameterLayout::add(const NamedParameter& parameter) {
  std::vector<std::size_t>& of_unit = buckets_of_unit_[parameter.unit];
  Bucket& bucket = buckets_.back();
  if (of_unit.empty() || of_unit.back() != buckets_.size() - 1) of_unit.push_back(buckets_.size() - 1);
  const bool decayed = is_decayed(parameter);
  entries_.push_back({parameter.name, parameter.tensor, buckets_.size() - 1, bucket.size, decayed});
  if (bucket.stretches.empty() || bucket.stretches.back().decayed != decayed) {
    bucket.stretches.push_back({{bucket.size, bucket.size}, decayed});
  }
  bucket.size += aligned_size(parameter);
  bucket.stretches.back().part.end = bucket.size;
}

at::TensorOptions ParameterLayout::options() const {
  const at::TensorOptions fp32(at::kFloat);
  return entries_.empty() ? fp32 : fp32.device(entries_.front().parameter.device());
}

at::Tensor ParameterLayout::view(const at::Tensor& bucket, const Entry& entry) {
  return bucket.narrow(0, entry.offset, entry.parameter.numel()).view(entry.parameter.sizes());
}

Ownership Ownership::replicated(const ParameterLayout& layout) {
  Ownership ownership;
  for (const auto& bucket : layout.buckets()) ownership.parts.push_back({0, bucket.size});
  return ownership;
}

Ownership Ownership::sharded(const ParameterLayout& layout, const Communicator& communicator) {
  Ownership ownership{.is_sharded = true};
  for (const auto& bucket : layout.buckets()) {
    ownership.parts.push_back(comm::range_of(bucket.size, communicator.rank(), communicator.world_size()));
  }
  return ownership;
}

at::Tensor Ownership::own(const at::Tensor& tensor, std::size_t bucket) const {
  return tensor.narrow(0, parts[bucket].begin, parts[bucket].size());
}

}  // namespace lockstep::sharding
