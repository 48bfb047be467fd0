#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lockstep/data/tokenized_dataset.h"

namespace lockstep::batching {

/// What rows that run together are made of. A decoder-only sequence is one input.
struct BatchShape {
  std::uint64_t rows = 0;
  std::uint64_t input_tokens = 0, target_tokens = 0;  // real ones
  std::uint64_t input_length = 0, target_length = 0;  // of the longest
  std::uint64_t labels = 0;                           // tokens that the loss covers
  std::uint64_t predictors = 0;                       // tokens of the input on which one of them depends
  // Of each row by itself, summed: squares of its predictors and its targets; cross: input length x target length.
  double input_pairs = 0, target_pairs = 0, cross_pairs = 0;

  std::uint64_t tokens() const { return input_tokens + target_tokens; }
};

/// What it costs to compute rows together: a part for each token, which is the work of the parameters, and one for each
/// pair of tokens, which is attention's; and one for each token that the loss covers, which is the output head's. In
/// any unit; by default, in tokens on which a label depends.
struct BatchCost {
  double input_token = 1, target_token = 1;
  double input_pair = 0, target_pair = 0, cross_pair = 0;
  double label = 0;
  double input_token_beside = 0, target_token_beside = 0;  // of each token outside of products of matrices
  double pair_beside = 0;       // of each pair, as a share of its products; not where attention pads
  double pass = 0;              // of each micro-batch, whatever it holds
  bool pads_attention = false;  // attention computes all rows as long as the longest, and nothing leaves out tokens on
                                // which no label depends

  /// Without `pass`.
  double of(const BatchShape& shape) const;
  /// What the rows ask for: products alone, without padding, of tokens on which a label depends, with the half of pairs
  /// that a decoder's causal attention sees.
  double asked_for(const BatchShape& shape, bool has_encoder) const;
};

/// Bounds of a micro-batch of several rows.
struct MicroBatchLimits {
  std::uint64_t rows = 0;    // it has no more tokens than so many of the longest together
  std::uint64_t tokens = 0;  // real ones
};

/// Examples that run forward and backward together.
struct MicroBatch {
  std::vector<std::uint64_t> examples;
  std::uint64_t tokens = 0;  // real ones
  double cost = 0;           // with that of a pass
};

/// How the ranks share one optimizer step.
struct StepPlan {
  std::vector<std::vector<MicroBatch>> ranks;  // [world_size][micro-batches of the rank]
  std::uint64_t tokens = 0;                    // real ones, of all ranks
  std::uint64_t label_tokens = 0;              // tokens that the loss covers, of all ranks
  double asked_for = 0;                        // of all rows, in the unit of BatchCost
  double padding = 0;                          // share of the cost, without passes, that padding makes
};

/// Cuts a global batch into micro-batches of about equal cost, and deals them to the ranks, the dearest first to the
/// rank with the least so far. A pure function of its arguments: every rank computes the same plan without a message.
/// There are as few micro-batches as the limits allow, in a multiple of `world_size` while there are rows enough. Where
/// attention pads, rows of like length go together, in as many more micro-batches as pay.
StepPlan plan_step(const TokenizedDataset& dataset, std::span<const std::uint64_t> global_batch,
                   const MicroBatchLimits& limits, int world_size, const BatchCost& cost = {});

/// Consecutive batches of at most `max_rows` of all examples, sorted by length, for evaluation.
std::vector<MicroBatch> plan_evaluation(const TokenizedDataset& dataset, std::uint64_t max_rows);

/// Tokens of an example that the loss covers: its target, less the first token where nothing precedes it (decoder-only
/// with an input cut away altogether).
std::uint64_t label_tokens(const TokenizedDataset& dataset, std::uint64_t example);

}  // namespace lockstep::batching
