#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>

#include "lockstep/comm/communicator.h"
#include "lockstep/models/pretrained.h"
#include "lockstep/train/base_trainer.h"
#include "lockstep/train/checkpoints/checkpoint.h"
#include "lockstep/train/checkpoints/state_copy.h"
#include "lockstep/train/checkpoints/trainer_state.h"

namespace lockstep::train {

struct CheckpointOptions {
  std::filesystem::path output_dir = {};
  SaveOptions save_options = {};                  // of the model
  std::optional<std::uint64_t> total_limit = {};  // newest ones that stay; none: all
  bool keeps_best = false;                        // beside them
  /// Fills in what a loop does not know. Rank 0 alone calls it.
  std::function<TrainerState(const LoopState&)> describe = {};
};

/// Saves the checkpoints of a run, in the background while it trains: each rank copies its part of the state, and a
/// thread of low priority writes it; when all have done so, rank 0 lists the files' digests, puts the checkpoint in its
/// place, verifies it, and only then removes older ones. At most one is under way, so that memory is bounded by one
/// copy of the state. A checkpoint that cannot be written leaves a warning, the older ones, and the run as they are.
///
/// All ranks call the functions in the same order.
class CheckpointWriter {
 public:
  CheckpointWriter(TrainedModel model, CheckpointOptions options, std::shared_ptr<Communicator> communicator);
  /// Waits for what its threads write.
  ~CheckpointWriter();

  /// Copies the state and begins to write it, once the checkpoint before is done; at the usual priority if it is
  /// urgent, because the run is to end.
  void begin(const LoopState& state, const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
             sharding::FlatParameters& parameters, const Optimizer& optimizer, bool is_urgent = false);
  /// 1 if this rank's part of what is under way is written, else 0: to be summed over ranks.
  double own_progress() const;
  /// Takes the sum: with the last part, rank 0 begins to put the checkpoint in place.
  void take_progress(double sum);
  /// Waits until what is under way is in its place. Empty, or why the last checkpoint could not be written.
  std::string finish();

  /// What saving took the last time, or about what it may take.
  std::chrono::duration<double> time_to_save() const;

 private:
  using Clock = std::chrono::steady_clock;
  bool writes_moments(const sharding::Ownership& ownership) const {
    return ownership.is_shared || communicator_->is_root();
  }
  std::string begin_folder(std::uint64_t step, std::uint64_t bytes);
  std::string write_part(const TrainerState& state, int moments_files);
  /// Collects what the ranks have written, once all have.
  void collect();
  void put_in_place(const std::vector<CheckpointFile>& files);
  void wait_for_placing();
  void report(const std::string& problem);

  TrainedModel model_;
  CheckpointOptions options_;
  std::shared_ptr<Communicator> communicator_;
  CheckpointFolder folder_;
  StateCopy copy_;

  bool is_under_way_ = false;  // parts are being written; on all ranks alike
  LoopState state_;            // of it
  bool is_urgent_ = false;
  std::future<std::string> part_;
  std::future<std::string> placing_;  // of rank 0
  std::string problem_;               // of the last one; of rank 0
  Clock::time_point start_;
  std::atomic<double> last_seconds_ = 0;
};

}  // namespace lockstep::train
