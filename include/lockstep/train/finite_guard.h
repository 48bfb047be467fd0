#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lockstep/comm/communicator.h"
#include "lockstep/data/tokenized_dataset.h"

namespace lockstep::train {

/// Skips the steps of a run whose loss or gradients are not finite, on all ranks alike, and ends the run after too many
/// in a row, or at its last step if none was finite.
class FiniteGuard {
 public:
  /// More than `max_skipped_steps` such steps in a row end the run of `total_steps`; 0: the first does. `training`
  /// tells what rows are called.
  FiniteGuard(std::uint64_t max_skipped_steps, std::uint64_t total_steps,
              std::shared_ptr<const TokenizedDataset> training, std::shared_ptr<Communicator> communicator);

  /// Sees the loss of each of this rank's micro-batches; `examples` are indices of the training set.
  void watch(double loss, std::span<const std::uint64_t> examples);
  /// For a step that overflowed fp16, `scale` being the smaller loss scale that is tried next: counts it as skipped,
  /// but not among those in a row. Throws as skips() does, if it was the last and none was finite.
  void skip_for_loss_scale(std::uint64_t step, double scale);
  /// After the last micro-batch: whether the step, counted from 1, must leave the weights as they are; a warning then
  /// names the ranks and rows whose loss was not finite. `loss` and `grad_norm` are those over all ranks, so that all
  /// decide alike. Throws Error where the run ends, PeerFailed on the ranks other than 0.
  bool skips(std::uint64_t step, double loss, double grad_norm);

  /// In all so far.
  std::uint64_t skipped_steps() const { return skipped_; }
  std::uint64_t skipped_in_a_row() const { return skipped_in_a_row_; }
  /// Goes on from those of a checkpoint.
  void restore(std::uint64_t skipped_steps, std::uint64_t skipped_in_a_row) {
    skipped_ = skipped_steps;
    skipped_in_a_row_ = skipped_in_a_row;
  }

 private:
  std::string describe_suspects();
  std::string conclude(bool was_never_finite) const;

  std::uint64_t max_skipped_steps_;
  std::uint64_t total_steps_;
  std::shared_ptr<const TokenizedDataset> training_;
  std::shared_ptr<Communicator> communicator_;
  std::vector<std::uint64_t> suspects_;  // of this rank in this step
  std::uint64_t skipped_ = 0;
  std::uint64_t skipped_in_a_row_ = 0;
};

}  // namespace lockstep::train
