#include "lockstep/sharding/flat_parameters.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <algorithm>
#include <utility>

#include "lockstep/sharding/zero_buffer.h"

namespace lockstep::sharding {
namespace {

bool has_memory(const at::Tensor& tensor) { return tensor.storage().nbytes() > 0; }

void set_memory(const at::Tensor& tensor, at::DataPtr memory, std::size_t bytes) {
  c10::StorageImpl* storage = tensor.storage().unsafeGetStorageImpl();
  storage->set_data_ptr_noswap(std::move(memory));
  storage->set_nbytes(bytes);
}

}  // namespace

FlatParameters::FlatParameters(const ParameterLayout& layout, Ownership ownership,
                               std::shared_ptr<Communicator> communicator, bool frees_layers)
    : layout_(layout),
      ownership_(std::move(ownership)),
      communicator_(std::move(communicator)),
      frees_layers_(frees_layers),
      buckets_(layout.buckets().size()) {
  const at::NoGradGuard no_grad;
  auto entry = layout_.entries().begin();
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    Bucket& bucket = buckets_[i];
    const std::int64_t size = layout_.buckets()[i].size;
    bucket.buffer = is_freed(i) ? at::zeros({size}, layout_.options()) : zero_buffer(size, layout_.options());
    for (; entry != layout_.entries().end() && entry->bucket == i; ++entry) {
      const at::Tensor view = ParameterLayout::view(bucket.buffer, *entry);
      view.copy_(entry->parameter);
      // set_data() keeps the parameter's version counter, so that autograd takes gathered values for the original ones.
      entry->parameter.set_data(view);
    }
    own_.push_back(ownership_.own(bucket.buffer, i));
    if (!is_freed(i)) continue;
    own_.back() = zero_buffer(own_.back().numel(), layout_.options()).copy_(own_.back());
    set_memory(bucket.buffer, at::DataPtr(nullptr, bucket.buffer.device()), 0);
    bucket.is_complete = false;
  }
}

void FlatParameters::allocate(const at::Tensor& buffer) {
  const std::size_t bytes = buffer.nbytes();
  if (auto spare = memory_pool_.extract(bytes)) {
    set_memory(buffer, std::move(spare.mapped()), bytes);
  } else {
    set_memory(buffer, buffer.storage().allocator()->allocate(bytes), bytes);
  }
}

void FlatParameters::free(const at::Tensor& buffer) {
  if (!has_memory(buffer)) return;
  at::DataPtr memory = buffer.storage().unsafeGetStorageImpl()->set_data_ptr(at::DataPtr(nullptr, buffer.device()));
  memory_pool_.emplace(buffer.nbytes(), std::move(memory));
  buffer.storage().unsafeGetStorageImpl()->set_nbytes(0);
}

bool FlatParameters::is_freed(std::size_t bucket) const {
  if (!frees_layers_) return false;
  const std::vector<std::size_t>& needed_throughout = layout_.buckets_of(0);
  return std::ranges::find(needed_throughout, bucket) == needed_throughout.end();
}

// A rank without a micro-batch has not waited for the gathers yet.
void FlatParameters::begin_update() {
  for (Bucket& bucket : buckets_) wait_for(bucket);
}

void FlatParameters::end_update() {
  if (!ownership_.is_sharded) return;
  for (Bucket& bucket : buckets_) bucket.is_complete = false;
  const std::size_t first_needed = frees_layers_ ? std::min<std::size_t>(2, units()) : units();
  for (std::size_t unit = 0; unit < first_needed; ++unit) begin_gather(unit);
}

void FlatParameters::begin_gather(std::size_t unit) {
  const at::NoGradGuard no_grad;
  for (const std::size_t i : layout_.buckets_of(unit)) {
    Bucket& bucket = buckets_[i];
    if (bucket.is_complete || bucket.gathering) continue;
    if (is_freed(i)) {
      if (!has_memory(bucket.buffer)) allocate(bucket.buffer);
      ownership_.own(bucket.buffer, i).copy_(own_[i]);
    }
    bucket.gathering = communicator_->begin_all_gather(
        bucket.buffer, fmt::format("the gathering of parameters {} of {}", i + 1, buckets_.size()));
  }
}

void FlatParameters::gather(std::size_t unit) {
  begin_gather(unit);
  for (const std::size_t i : layout_.buckets_of(unit)) wait_for(buckets_[i]);
}

void FlatParameters::gather_all() {
  for (std::size_t unit = 0; unit < units(); ++unit) gather(unit);
}

void FlatParameters::release(std::size_t unit) {
  for (const std::size_t i : layout_.buckets_of(unit)) {
    if (!is_freed(i)) continue;
    wait_for(buckets_[i]);
    free(buckets_[i].buffer);
    buckets_[i].is_complete = false;
  }
}

void FlatParameters::wait_for(Bucket& bucket) {
  if (!bucket.gathering) return;
  std::exchange(bucket.gathering, nullptr)->wait();
  bucket.is_complete = true;
}

}  // namespace lockstep::sharding
