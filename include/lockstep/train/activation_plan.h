#pragma once

#include <cstdint>

#include "lockstep/comm/communicator.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/job/hyperparameters.h"
#include "lockstep/models/model.h"
#include "lockstep/train/cost_model.h"

namespace lockstep::train {

/// Tokens of a micro-batch beyond which larger ones are hardly faster. On CPUs, the fixed cost of a pass
/// (batching/batch_cost.cpp) is 2 % at that size; the value for GPUs, whose many units need more work at a time, is a
/// guess.
inline constexpr std::uint64_t kMaxTokensOnHost = 4096, kMaxTokensOnGpu = 16384;

/// How micro-batches use a rank's memory for activations.
struct ActivationPlan {
  std::uint64_t max_tokens = 0;    // of a micro-batch, unless it is a single longer row
  bool recomputes_layers = false;  // in the backward pass
};

/// The memory of a rank, in bytes.
struct RankMemory {
  double usable = 0;  // 0: unknown, taken as unlimited
  double held = 0;    // by anything but activations (train/cost_model.h)
};

/// Gives micro-batches half of the memory that is not held, because activations are estimated roughly and a pass needs
/// more than them. `max_tokens` is max_tokens_per_micro_batch or, if the job does not set it, what fits, up to
/// `enough`. `recomputes_layers` follows gradient_checkpointing; `auto` means yes if a necessary micro-batch does not
/// fit otherwise, which is the larger of `longest_row` tokens and the job's max_tokens_per_micro_batch or, without that
/// key, the fewest tokens that are worth a pass.
ActivationPlan plan_activations(const ModelSize& model, const Hyperparameters& hyperparameters,
                                const RankMemory& memory, std::uint64_t enough, std::uint64_t longest_row);

/// Returns the number of tokens of the longest row, input and target together.
std::uint64_t longest_row(const TokenizedDataset& rows);

/// Returns the plan for the rank with the least memory: its GPU's memory, or its share of the host's among the ranks
/// there. The plan is the same on every rank, and at every start on the same machines.
ActivationPlan agree_on_activations(const LanguageModel& model, const TokenizedDataset& training,
                                    const Hyperparameters& hyperparameters, Communicator& communicator);

}  // namespace lockstep::train
