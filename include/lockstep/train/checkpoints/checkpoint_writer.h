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
  SaveOptions save_options = {};                  // for the model
  std::optional<std::uint64_t> total_limit = {};  // number of newest checkpoints to keep; none: all
  bool keeps_best = false;                        // in addition to the newest
  /// Completes the state with what a loop does not know. Only rank 0 calls it.
  std::function<TrainerState(const LoopState&)> describe = {};
};

/// Saves the checkpoints of a run in the background while it trains. Each rank copies its share of the state, and a
/// low-priority thread writes it. Once all ranks have done so, rank 0 lists the files' digests, moves the checkpoint
/// into place, verifies it, and only then removes older ones. At most one checkpoint is in flight, so that memory is
/// bounded by one copy of the state. If a checkpoint cannot be written, a warning is logged, and the older ones and the
/// run are left as they are.
///
/// All ranks must call these functions in the same order.
class CheckpointWriter {
 public:
  CheckpointWriter(TrainedModel model, CheckpointOptions options, std::shared_ptr<Communicator> communicator);
  /// Waits for the background threads.
  ~CheckpointWriter();

  /// Copies the state and begins to write it, once the previous checkpoint is done. An urgent checkpoint, saved because
  /// the run is about to end, is written at normal priority.
  void begin(const LoopState& state, const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
             sharding::FlatParameters& parameters, const Optimizer& optimizer, bool is_urgent = false);
  /// Returns 1 if this rank has written its share of the checkpoint in flight, else 0. The ranks sum it for
  /// apply_progress().
  double local_progress() const;
  /// Takes the sum over ranks of local_progress(). When all shares are written, rank 0 begins to move the checkpoint
  /// into place.
  void apply_progress(double sum);
  /// Waits until the checkpoint in flight is in place. Returns an empty string, or why the last checkpoint could not be
  /// written.
  std::string finish();

  /// Returns how long the last checkpoint took to save, or a guess before the first.
  std::chrono::duration<double> time_to_save() const;

 private:
  using Clock = std::chrono::steady_clock;
  bool writes_moments(const sharding::Ownership& ownership) const {
    return ownership.is_sharded || communicator_->is_root();
  }
  std::string begin_folder(std::uint64_t step, std::uint64_t bytes);
  std::string write_part(const TrainerState& state, int moments_files);
  /// Collects the file lists of all ranks, after waiting for them.
  void collect();
  void commit_checkpoint(const std::vector<CheckpointFile>& files);
  void wait_for_commit();
  void report(const std::string& problem);

  TrainedModel model_;
  CheckpointOptions options_;
  std::shared_ptr<Communicator> communicator_;
  CheckpointFolder folder_;
  StateCopy copy_;

  bool is_in_flight_ = false;  // shares are being written; the same on all ranks
  LoopState state_;            // of the checkpoint in flight
  bool is_urgent_ = false;
  std::future<std::string> part_;
  std::future<std::string> committing_;  // on rank 0
  std::string problem_;                  // of the last checkpoint; on rank 0
  Clock::time_point start_;
  std::atomic<double> last_seconds_ = 0;
};

}  // namespace lockstep::train
