#include "lockstep/batching/global_batches.h"

#include <algorithm>

#include "lockstep/data/shuffle.h"

namespace lockstep::batching {

GlobalBatches::GlobalBatches(std::uint64_t rows, std::uint64_t batch_size, std::uint64_t seed)
    : rows_(rows),
      batch_size_(batch_size),
      seed_(seed),
      steps_per_epoch_(std::max<std::uint64_t>(1, (rows + batch_size - 1) / batch_size)) {}

std::span<const std::uint64_t> GlobalBatches::at(std::uint64_t step) {
  const std::uint64_t epoch = step / steps_per_epoch_;
  if (epoch_ != epoch) {
    order_ = data::shuffled_indices(rows_, seed_, epoch);
    epoch_ = epoch;
  }
  const std::uint64_t begin = step % steps_per_epoch_ * batch_size_;
  return std::span(order_).subspan(begin, std::min(batch_size_, rows_ - begin));
}

}  // namespace lockstep::batching
