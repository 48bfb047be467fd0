#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lockstep/data/tokenized_dataset.h"

namespace lockstep::batching {

/// The size of one or several rows that run together. A decoder-only sequence counts as input, without target.
struct BatchShape {
  std::uint64_t rows = 0;
  std::uint64_t input_tokens = 0, target_tokens = 0;  // without padding
  std::uint64_t input_length = 0, target_length = 0;  // of the longest row
  std::uint64_t labels = 0;                           // tokens that the loss covers
  std::uint64_t predictors = 0;                       // input tokens that some label depends on
  // Sums over the rows: squares of predictors, squares of targets, and input length x target length (cross).
  double input_pairs = 0, target_pairs = 0, cross_pairs = 0;

  std::uint64_t tokens() const { return input_tokens + target_tokens; }
};

/// The cost of computing rows together, in any unit. Per-token costs cover the parameters, per-pair costs cover
/// attention (pairs of query and key), and per-label costs cover the output head. The defaults count the tokens that a
/// label depends on.
struct BatchCost {
  double input_token = 1, target_token = 1;
  double input_pair = 0, target_pair = 0, cross_pair = 0;
  double label = 0;
  double input_token_overhead = 0, target_token_overhead = 0;  // per token, outside of matrix products
  double pair_overhead = 0;     // per pair, as a share of its matrix products; only if attention does not pad
  double pass = 0;              // per micro-batch, whatever its size
  bool pads_attention = false;  // rows are padded to the longest, and every token is computed

  /// Returns the cost of computing rows of this shape together, without `pass`.
  double of_shape(const BatchShape& shape) const;
  /// Returns the cost of the necessary work: only matrix products, without padding, for the tokens that a label depends
  /// on, and with half of the pairs where a decoder's attention is causal.
  double useful_cost(const BatchShape& shape, bool has_encoder) const;
};

/// Limits for a micro-batch of several rows. A single row may exceed them.
struct MicroBatchLimits {
  std::uint64_t rows = 0;    // caps the tokens at the combined length of this many longest rows
  std::uint64_t tokens = 0;  // without padding
};

/// Examples that run forward and backward together.
struct MicroBatch {
  std::vector<std::uint64_t> examples;
  std::uint64_t tokens = 0;  // without padding
  double cost = 0;           // includes BatchCost::pass
};

/// How the ranks share the work of one optimizer step.
struct StepPlan {
  std::vector<std::vector<MicroBatch>> ranks;  // [world_size][micro-batches of the rank]
  std::uint64_t tokens = 0;                    // without padding, over all ranks
  std::uint64_t label_tokens = 0;              // tokens that the loss covers, over all ranks
  double useful_cost = 0;                      // necessary work of all rows (BatchCost::useful_cost)
  double padding = 0;                          // share of the cost, without `pass`, that is padding
};

/// Cuts a global batch into micro-batches of about equal cost and assigns them to the ranks, the most expensive first,
/// each to the rank with the lowest cost so far. A pure function of its arguments: all ranks compute the same plan
/// without communication. Uses as few micro-batches as the limits allow, rounded up to a multiple of `world_size` while
/// there are enough rows. If attention pads, rows of similar length are grouped, in more micro-batches where that is
/// cheaper.
StepPlan plan_step(const TokenizedDataset& dataset, std::span<const std::uint64_t> global_batch,
                   const MicroBatchLimits& limits, int world_size, const BatchCost& cost = {});

/// Returns batches of at most `max_rows` for evaluation. They cover all examples, sorted by length, longest first.
std::vector<MicroBatch> plan_evaluation(const TokenizedDataset& dataset, std::uint64_t max_rows);

/// Returns the number of tokens of an example that the loss covers: its target, without the first token if nothing
/// precedes it (a decoder-only example whose input was truncated to nothing).
std::uint64_t label_tokens(const TokenizedDataset& dataset, std::uint64_t example);

}  // namespace lockstep::batching
