#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lockstep/data/tokenized_dataset.h"

namespace lockstep {

/// What it costs to compute padded rows: for each row, a part for each token, which is the work of the parameters, and
/// one for each pair of tokens, which is attention's; and one for each token that the loss covers, which is the output
/// head's. A decoder-only sequence is one input. In any unit; by default, in padded tokens.
struct BatchCost {
  double input_token = 1, target_token = 1;
  double input_pair = 0, target_pair = 0, cross_pair = 0;  // length squared; cross: input length x target length
  double label = 0;

  double of(std::uint64_t rows, std::uint64_t input_length, std::uint64_t target_length, std::uint64_t labels) const;
};

/// Examples that run forward and backward together, padded to their longest.
struct MicroBatch {
  std::vector<std::uint64_t> examples;
  std::uint64_t padded_tokens = 0;  // rows x (longest input + longest target)
  double cost = 0;
};

/// How the ranks share one optimizer step.
struct StepPlan {
  std::vector<std::vector<MicroBatch>> ranks;  // [world_size][micro-batches of the rank]
  std::uint64_t tokens = 0;                    // real ones, of all ranks
  std::uint64_t padded_tokens = 0;
  std::uint64_t label_tokens = 0;  // tokens that the loss covers, of all ranks
};

/// Sorts a global batch by length, cuts it into micro-batches of about equal cost, and deals them to the ranks, the
/// dearest first to the rank with the least so far. A pure function of its arguments: every rank computes the same plan
/// without a message. There are as many micro-batches as `max_rows` rows each ask for, rounded up to a multiple of
/// `world_size` while there are rows enough; none is larger, in padded tokens, than the longest `max_rows` rows
/// together (of sources and targets, than the largest of such cuts).
StepPlan plan_step(const TokenizedDataset& dataset, std::span<const std::uint64_t> global_batch, std::uint64_t max_rows,
                   int world_size, const BatchCost& cost = {});

/// Consecutive batches of at most `max_rows` of all examples, sorted by length, for evaluation.
std::vector<MicroBatch> plan_evaluation(const TokenizedDataset& dataset, std::uint64_t max_rows);

/// Tokens of an example that the loss covers: its target, less the first token where nothing precedes it (decoder-only
/// with an input cut away altogether).
std::uint64_t label_tokens(const TokenizedDataset& dataset, std::uint64_t example);

}  // namespace lockstep
