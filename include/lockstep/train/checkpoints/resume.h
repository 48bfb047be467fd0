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

/// A whole checkpoint, and what it says of the run.
struct ResumePoint {
  std::filesystem::path checkpoint;
  TrainerState state;
};

/// What must be alike for a run to be the one that another began: the seed, the data, the model that it started from
/// (an adapter, too). `validation` may be null.
comm::SharedFacts run_identity(const Hyperparameters& hyperparameters, const TokenizedDataset& training,
                               const TokenizedDataset* validation, const LanguageModel& model);

/// Where `resume_from_checkpoint` says that the run goes on, the same on all ranks; none: it starts anew. "auto" takes
/// the newest checkpoint in output_dir that is whole, and warns of newer ones that are not. With overwrite_output_dir,
/// checkpoints of another run, and of one that has ended, are left alone. Throws InputError on rank 0, PeerFailed on
/// the others: for a checkpoint of another run, with the difference; where checkpoints are there and none is whole.
std::optional<ResumePoint> find_resume_point(const Hyperparameters& hyperparameters, const comm::SharedFacts& identity,
                                             Communicator& communicator);

/// Whether output_dir holds what the run of `identity` left there before its first checkpoint, or beside some.
bool holds_unfinished_run(const std::filesystem::path& output_dir, const comm::SharedFacts& identity);

/// Copies a checkpoint's weights into the model, or its adapter's; of any device.
void load_checkpoint_weights(const std::filesystem::path& checkpoint, LanguageModel& model);

/// Warns of keys that shape the results and differ from those of the run so far.
void warn_of_other_settings(const ResumePoint& point, const Hyperparameters& hyperparameters);

}  // namespace lockstep::train
