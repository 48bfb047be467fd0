#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace lockstep::batching {

/// The rows of each optimizer step: slices of the epochs' permutations, a pure function of (rows, seed, step), so that
/// a run may begin at any step.
class GlobalBatches {
 public:
  /// Of a set of `rows`; the last batch of an epoch may be smaller than `batch_size`.
  GlobalBatches(std::uint64_t rows, std::uint64_t batch_size, std::uint64_t seed);

  std::uint64_t steps_per_epoch() const { return steps_per_epoch_; }
  /// The rows of a step, counted from 0; valid until the next call.
  std::span<const std::uint64_t> at(std::uint64_t step);

 private:
  std::uint64_t rows_;
  std::uint64_t batch_size_;
  std::uint64_t seed_;
  std::uint64_t steps_per_epoch_;
  std::optional<std::uint64_t> epoch_;  // of order_
  std::vector<std::uint64_t> order_;
};

}  // namespace lockstep::batching
