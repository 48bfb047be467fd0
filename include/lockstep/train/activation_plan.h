#pragma once

#include <cstdint>

#include "lockstep/comm/communicator.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/job/hyperparameters.h"
#include "lockstep/models/model.h"
#include "lockstep/train/cost_model.h"

namespace lockstep::train {

/// Tokens of a micro-batch beyond which more would be hardly faster: of what a pass costs by itself
/// (batching/batch_cost.cpp) on CPUs, 2 % at that size; a guess for GPUs, whose many units want more at a time.
inline constexpr std::uint64_t kEnoughTokensOnHost = 4096, kEnoughTokensOnGpu = 16384;

/// How micro-batches use the memory that a rank has for activations.
struct ActivationPlan {
  std::uint64_t max_tokens = 0;    // of a micro-batch, but for one of a single longer row
  bool recomputes_layers = false;  // in the backward pass
};

/// What a rank has, in bytes.
struct RankMemory {
  double usable = 0;  // 0: unknown, and enough
  double held = 0;    // of it, but for activations (train/cost_model.h)
};

/// For micro-batches, half of what is not held: activations are estimated roughly, and a pass has more beside them.
/// `max_tokens`: max_tokens_per_micro_batch, or, where the job does not give it, as many as fit, up to `enough`.
/// `recomputes_layers`: gradient_checkpointing, where `auto` means yes if what must go into a micro-batch does not fit
/// without it: `longest_row` tokens, the job's max_tokens_per_micro_batch, or what a pass needs to be worth its cost.
ActivationPlan plan_activations(const ModelSize& model, const Hyperparameters& hyperparameters,
                                const RankMemory& memory, std::uint64_t enough, std::uint64_t longest_row);

/// Tokens of the longest row, input and target.
std::uint64_t longest_row(const TokenizedDataset& rows);

/// The plan of the rank that has least: of a GPU's memory, or its share of the host's with the other ranks there. The
/// same on every rank, and at every start on the same machines.
ActivationPlan agree_on_activations(const LanguageModel& model, const TokenizedDataset& training,
                                    const Hyperparameters& hyperparameters, Communicator& communicator);

}  // namespace lockstep::train
