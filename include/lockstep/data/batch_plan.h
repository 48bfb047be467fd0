#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lockstep/data/tokenized_dataset.h"

namespace lockstep {

/// Examples that run forward and backward together, padded to their longest.
struct MicroBatch {
  std::vector<std::uint64_t> examples;
  std::uint64_t padded_tokens = 0;  // rows x (longest input + longest target)
};

/// How the ranks share one optimizer step.
struct StepPlan {
  std::vector<std::vector<MicroBatch>> ranks;  // [world_size][micro-batches of the rank]
  std::uint64_t tokens = 0;                    // real ones, of all ranks
  std::uint64_t padded_tokens = 0;
  std::uint64_t label_tokens = 0;  // tokens that the loss covers, of all ranks
};

/// Sorts a global batch by length, cuts it into micro-batches of about equal padded size, and deals them to the ranks
/// by cost. A pure function of its arguments: every rank computes the same plan without a message. There are as many
/// micro-batches as `max_rows` rows each ask for, rounded up to a multiple of `world_size` while there are rows enough;
/// none is larger, in padded tokens, than the longest `max_rows` rows together.
StepPlan plan_step(const TokenizedDataset& dataset, std::span<const std::uint64_t> global_batch, std::uint64_t max_rows,
                   int world_size);

/// Consecutive batches of at most `max_rows` of all examples, sorted by length, for evaluation.
std::vector<MicroBatch> plan_evaluation(const TokenizedDataset& dataset, std::uint64_t max_rows);

/// Tokens of an example that the loss covers: its target, less the first token where nothing precedes it (decoder-only
/// with an input cut away altogether).
std::uint64_t label_tokens(const TokenizedDataset& dataset, std::uint64_t example);

}  // namespace lockstep
