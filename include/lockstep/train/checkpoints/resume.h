#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "lockstep/comm/agreement.h"
#include "lockstep/comm/communicator.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/job/hyperparameters.h"
#include "lockstep/models/model.h"
#include "lockstep/train/checkpoints/trainer_state.h"

namespace lockstep::train {

/// An intact checkpoint and its trainer state.
struct ResumePoint {
  std::filesystem::path checkpoint;
  TrainerState state;
};

/// Returns what identifies a run: the seed, the data, and the model that it started from, including an adapter. Only a
/// run with the same identity may resume from a checkpoint. `validation` may be null.
comm::SharedFacts run_identity(const Hyperparameters& hyperparameters, const TokenizedDataset& training,
                               const TokenizedDataset* validation, const LanguageModel& model);

/// Returns the checkpoint that `resume_from_checkpoint` selects, the same on all ranks, or nothing if the run starts
/// anew. "auto" takes the newest intact checkpoint in output_dir, and warns about newer ones that are damaged. With
/// overwrite_output_dir, checkpoints of another run and of a finished run are ignored. Throws InputError on rank 0, and
/// PeerFailed on the others, for a checkpoint of another run, naming the difference, and if there are checkpoints but
/// none is intact.
std::optional<ResumePoint> find_resume_point(const Hyperparameters& hyperparameters, const comm::SharedFacts& identity,
                                             Communicator& communicator);

/// Returns whether output_dir holds the state of an unfinished run with `identity`, with or without checkpoints.
bool holds_unfinished_run(const std::filesystem::path& output_dir, const comm::SharedFacts& identity);

/// Returns whether output_dir holds the model of a finished run with `identity` and the same hyperparameters.
bool holds_finished_run(const std::filesystem::path& output_dir, const Hyperparameters& hyperparameters,
                        const comm::SharedFacts& identity);

/// Copies the weights of a checkpoint into the model, on any device, or those of an adapter into its adapter.
void load_checkpoint_weights(const std::filesystem::path& checkpoint, LanguageModel& model);

/// Warns about settings that affect the results and differ from those of the run so far.
void warn_about_changed_settings(const ResumePoint& point, const Hyperparameters& hyperparameters);

}  // namespace lockstep::train
