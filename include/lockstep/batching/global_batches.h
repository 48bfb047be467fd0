#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace lockstep::batching {

/// Selects the rows of each optimizer step: slices of each epoch's permutation, a pure function of (rows, seed, step),
/// so that a run may start at any step.
class GlobalBatches {
 public:
  /// Takes batches from a set of `rows` rows. The last batch of an epoch may be smaller than `batch_size`.
  GlobalBatches(std::uint64_t rows, std::uint64_t batch_size, std::uint64_t seed);

  std::uint64_t steps_per_epoch() const { return steps_per_epoch_; }
  /// Returns the rows of a step; steps count from 0. The result is valid until the next call.
  std::span<const std::uint64_t> at(std::uint64_t step);

 private:
  std::uint64_t rows_;
  std::uint64_t batch_size_;
  std::uint64_t seed_;
  std::uint64_t steps_per_epoch_;
  std::optional<std::uint64_t> epoch_;  // the epoch that order_ belongs to
  std::vector<std::uint64_t> order_;
};

}  // namespace lockstep::batching
