#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lockstep/comm/communicator.h"
#include "lockstep/data/tokenized_dataset.h"

namespace lockstep::train {

/// Skips the steps of a run whose loss or gradients are not finite, on all ranks alike. Ends the run after too many in
/// a row, or at its last step if none was finite.
class FiniteGuard {
 public:
  /// More than `max_skipped_steps` such steps in a row end the run of `total_steps`; with 0, the first one does.
  /// `training` provides the row numbers for messages.
  FiniteGuard(std::uint64_t max_skipped_steps, std::uint64_t total_steps,
              std::shared_ptr<const TokenizedDataset> training, std::shared_ptr<Communicator> communicator);

  /// Checks the loss of one of this rank's micro-batches; `examples` are indices into the training set.
  void check_loss(double loss, std::span<const std::uint64_t> examples);
  /// Records that a step overflowed fp16; `scale` is the smaller loss scale to try next. The step counts as skipped,
  /// but not as one in a row. Throws as skips() does if it was the last step and none was finite.
  void skip_for_loss_scale(std::uint64_t step, double scale);
  /// Decides, after the last micro-batch, whether the step, counted from 1, must leave the weights unchanged; if so,
  /// logs a warning with the ranks and rows whose loss was not finite. `loss` and `grad_norm` are those over all ranks,
  /// so that all ranks decide alike. When the run must end, throws Error on rank 0 and PeerFailed on the others.
  bool skips(std::uint64_t step, double loss, double grad_norm);

  /// Records which of the weights that this rank updates are not finite before training: the rest must remain so.
  void watch_weights(std::span<const at::Tensor> own);
  /// Ends the run, on all ranks, if a weight that was finite no longer is, after `step`. Collective.
  void check_weights(std::uint64_t step, std::span<const at::Tensor> own);

  /// Returns the number of skipped steps so far.
  std::uint64_t skipped_steps() const { return skipped_; }
  std::uint64_t skipped_in_a_row() const { return skipped_in_a_row_; }
  /// Continues with the counts of a checkpoint.
  void restore(std::uint64_t skipped_steps, std::uint64_t skipped_in_a_row) {
    skipped_ = skipped_steps;
    skipped_in_a_row_ = skipped_in_a_row;
  }

 private:
  std::string describe_suspects();
  std::string failure_message(bool was_never_finite) const;

  std::uint64_t max_skipped_steps_;
  std::uint64_t total_steps_;
  std::shared_ptr<const TokenizedDataset> training_;
  std::shared_ptr<Communicator> communicator_;
  std::vector<bool> was_finite_;                // the tensors of watch_weights()
  std::vector<std::uint64_t> non_finite_rows_;  // rows of this rank in this step
  std::uint64_t skipped_ = 0;
  std::uint64_t skipped_in_a_row_ = 0;
};

}  // namespace lockstep::train
