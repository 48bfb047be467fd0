#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "lockstep/comm/agreement.h"
#include "lockstep/core/json.h"
#include "lockstep/train/loss_scaler.h"
#include "lockstep/train/metric_sink.h"

namespace lockstep::train {

/// The best evaluation of a run: the one with the lowest loss, and the first of several equal ones.
struct BestEvaluation {
  std::optional<double> metric = {};  // none: no evaluation so far was finite
  std::uint64_t step = 0;
  std::uint64_t evaluations_since = 0;  // evaluations since then

  /// Counts `evaluation`. Returns whether it is the best so far.
  bool take(const EvaluationMetrics& evaluation);
};

/// What a training loop needs, in addition to the weights and the optimizer's moments, to continue as if it had never
/// stopped. The order of rows and the dropout masks are functions of the seed and the position.
struct LoopState {
  RunPosition position = {};
  std::uint64_t optimizer_updates = 0;
  std::uint64_t skipped_steps = 0;
  std::uint64_t skipped_in_a_row = 0;
  LossScaler::State loss_scaler = {};  // for fp16
  BestEvaluation best = {};
};

/// The content of trainer_state.json: the state of a checkpoint or, in a run's output_dir, what the run is and whether
/// it has finished.
struct TrainerState {
  LoopState loop = {};
  bool is_finished = false;
  std::uint64_t global_batch_size = 0;
  int ranks = 0;
  comm::SharedFacts identity = {};  // must be equal for the run to be the same (train/checkpoints/resume.h)
  comm::SharedFacts settings = {};  // Hyperparameters::values()
  Json epochs = {};                 // EpochSink::state()

  /// Writes the file kTrainerStateFile (train/checkpoints/checkpoint.h).
  void write(const std::filesystem::path& folder) const;
  /// Reads the file that write() wrote. Throws InputError naming the file and what is wrong with it.
  static TrainerState read(const std::filesystem::path& folder);
  std::string to_text() const;
  /// Parses to_text()'s result. Throws InputError; `where` names the source in messages.
  static TrainerState from_text(const std::string& text, const std::string& where);
};

}  // namespace lockstep::train
