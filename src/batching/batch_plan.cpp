#include "lockstep/batching/batch_plan.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <queue>
#include <utility>

#include "batching/divide_up.h"

namespace lockstep::batching {
namespace {

struct SizedRow {
  std::uint64_t example;
  BatchShape shape;
};

using SizedRows = std::vector<SizedRow>;
using Pieces = std::vector<std::vector<SizedRow>>;

BatchShape shape_of(std::uint64_t input, std::uint64_t target, std::uint64_t labels, std::uint64_t predictors) {
  const auto in = static_cast<double>(predictors), out = static_cast<double>(target);
  return {.rows = 1,
          .input_tokens = input,
          .target_tokens = target,
          .input_length = input,
          .target_length = target,
          .labels = labels,
          .predictors = predictors,
          .input_pairs = in * in,
          .target_pairs = out * out,
          .cross_pairs = in * out};
}

BatchShape together(const BatchShape& a, const BatchShape& b) {
  return {.rows = a.rows + b.rows,
          .input_tokens = a.input_tokens + b.input_tokens,
          .target_tokens = a.target_tokens + b.target_tokens,
          .input_length = std::max(a.input_length, b.input_length),
          .target_length = std::max(a.target_length, b.target_length),
          .labels = a.labels + b.labels,
          .predictors = a.predictors + b.predictors,
          .input_pairs = a.input_pairs + b.input_pairs,
          .target_pairs = a.target_pairs + b.target_pairs,
          .cross_pairs = a.cross_pairs + b.cross_pairs};
}

// Sorts longest first; equal lengths are ordered by example number, so that the order depends on nothing else.
SizedRows sort_by_length(const TokenizedDataset& dataset, std::span<const std::uint64_t> examples) {
  SizedRows rows;
  rows.reserve(examples.size());
  for (const std::uint64_t example : examples) {
    const std::uint64_t input = dataset.input_length(example);
    const std::uint64_t target = dataset.target_length(example);
    const std::uint64_t labels = label_tokens(dataset, example);
    const std::uint64_t sequence = input + target;
    const std::uint64_t predictors = labels > 0 ? sequence - 1 : std::min<std::uint64_t>(1, sequence);
    rows.push_back({example, dataset.has_encoder() ? shape_of(input, target, labels, input)
                                                   : shape_of(sequence, 0, labels, predictors)});
  }
  std::sort(rows.begin(), rows.end(), [](const SizedRow& a, const SizedRow& b) {
    return std::pair(b.shape.tokens(), a.example) < std::pair(a.shape.tokens(), b.example);
  });
  return rows;
}

// Returns the combined length of the `max_rows` longest rows.
std::uint64_t tokens_of_longest(const SizedRows& rows, std::uint64_t max_rows) {
  std::uint64_t tokens = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(rows.size(), max_rows); ++i) tokens += rows[i].shape.tokens();
  return tokens;
}

// Rounds a number of pieces up to a multiple of the ranks, while there are enough rows.
std::uint64_t round_up_to_ranks(std::uint64_t count, std::uint64_t ranks, const SizedRows& rows) {
  return std::min<std::uint64_t>(divide_up(count, ranks) * ranks, rows.size());
}

// Distributes rows over `count` pieces, the longest first, each to the cheapest piece so far. Returns nullopt if a row
// does not fit into that piece.
std::optional<Pieces> spread_over(const SizedRows& rows, std::uint64_t count, std::uint64_t max_tokens,
                                  const BatchCost& cost) {
  using Load = std::pair<double, std::size_t>;
  std::priority_queue<Load, std::vector<Load>, std::greater<>> cheapest;
  for (std::size_t i = 0; i < count; ++i) cheapest.emplace(0.0, i);
  Pieces pieces(count);
  std::vector<std::uint64_t> tokens(count, 0);
  for (const SizedRow& row : rows) {
    const auto [load, piece] = cheapest.top();
    if (!pieces[piece].empty() && tokens[piece] + row.shape.tokens() > max_tokens) return std::nullopt;
    cheapest.pop();
    cheapest.emplace(load + cost.of_shape(row.shape), piece);
    tokens[piece] += row.shape.tokens();
    pieces[piece].push_back(row);
  }
  return pieces;
}

// Returns how many pieces of `max_tokens` all rows fill; a longer row fills one piece.
std::uint64_t pieces_to_fill(const SizedRows& rows, std::uint64_t max_tokens) {
  std::uint64_t tokens = 0;
  for (const SizedRow& row : rows) tokens += std::min(row.shape.tokens(), max_tokens);
  return divide_up(tokens, max_tokens);
}

// For rows whose cost does not depend on what they are grouped with: uses as few pieces as stay within `max_tokens`.
Pieces spread(const SizedRows& rows, std::uint64_t ranks, std::uint64_t max_tokens, const BatchCost& cost) {
  for (std::uint64_t count = round_up_to_ranks(pieces_to_fill(rows, max_tokens), ranks, rows);;
       count = round_up_to_ranks(count + 1, ranks, rows)) {
    if (auto pieces = spread_over(rows, count, max_tokens, cost)) return *std::move(pieces);
  }
}

// Limits for a piece of several rows.
struct Limits {
  double cost;
  std::uint64_t tokens;
};

// Cuts sorted rows greedily into consecutive pieces within the limits. No other such cut has fewer pieces.
Pieces cut(const SizedRows& rows, const BatchCost& cost, const Limits& limits) {
  Pieces pieces;
  BatchShape piece;
  for (const SizedRow& row : rows) {
    const BatchShape grown = together(piece, row.shape);
    const bool is_too_large = cost.of_shape(grown) > limits.cost || grown.tokens() > limits.tokens;
    const bool begins = pieces.empty() || is_too_large;
    if (begins) pieces.emplace_back();
    piece = begins ? row.shape : grown;
    pieces.back().push_back(row);
  }
  return pieces;
}

// Returns the cut into at most `count` pieces whose most expensive piece is cheapest, to within a thousandth (binary
// search over the cost limit). `count` pieces must be enough for `max_tokens`.
Pieces cut_evenly(const SizedRows& rows, std::uint64_t count, std::uint64_t max_tokens, const BatchCost& cost) {
  constexpr double kWithin = 1e-3;
  BatchShape all;
  double low = 0;  // rows are not split
  for (const SizedRow& row : rows) {
    low = std::max(low, cost.of_shape(row.shape));
    all = together(all, row.shape);
  }
  double high = cost.of_shape(all);
  while (high - low > kWithin * high) {
    const double middle = (low + high) / 2;
    (cut(rows, cost, {middle, max_tokens}).size() <= count ? high : low) = middle;
  }
  return cut(rows, cost, {high, max_tokens});
}

std::vector<MicroBatch> make_micro_batches(const Pieces& pieces, const BatchCost& cost) {
  std::vector<MicroBatch> micro_batches;
  for (const auto& piece : pieces) {
    if (piece.empty()) continue;
    MicroBatch micro_batch;
    BatchShape shape;
    for (const SizedRow& row : piece) {
      shape = together(shape, row.shape);
      micro_batch.examples.push_back(row.example);
    }
    micro_batch.tokens = shape.tokens();
    micro_batch.cost = cost.of_shape(shape) + cost.pass;
    micro_batches.push_back(std::move(micro_batch));
  }
  return micro_batches;
}

double cost_of(const std::vector<MicroBatch>& micro_batches) {
  return std::accumulate(micro_batches.begin(), micro_batches.end(), 0.0,
                         [](double sum, const MicroBatch& micro_batch) { return sum + micro_batch.cost; });
}

// Assigns the most expensive micro-batch first, each to the rank with the lowest cost so far (Graham's LPT rule).
std::vector<std::vector<MicroBatch>> assign_to_ranks(std::vector<MicroBatch> micro_batches, std::uint64_t ranks) {
  std::stable_sort(micro_batches.begin(), micro_batches.end(),
                   [](const MicroBatch& a, const MicroBatch& b) { return a.cost > b.cost; });
  std::vector<std::vector<MicroBatch>> dealt(ranks);
  std::vector<double> load(ranks, 0);
  for (MicroBatch& micro_batch : micro_batches) {
    const auto rank = static_cast<std::size_t>(std::min_element(load.begin(), load.end()) - load.begin());
    load[rank] += micro_batch.cost;
    dealt[rank].push_back(std::move(micro_batch));
  }
  return dealt;
}

double cost_of_most_expensive(const std::vector<std::vector<MicroBatch>>& ranks) {
  double most = 0;
  for (const auto& rank : ranks) most = std::max(most, cost_of(rank));
  return most;
}

// For attention that pads: cuts rows sorted by length into consecutive pieces, as many as minimise the cost of the most
// loaded rank. More pieces mean less padding but more passes.
std::vector<std::vector<MicroBatch>> deal_by_length(const SizedRows& rows, std::uint64_t ranks,
                                                    std::uint64_t max_tokens, const BatchCost& cost) {
  double useful_cost = 0;
  for (const SizedRow& row : rows) useful_cost += cost.of_shape(row.shape);
  const std::uint64_t possible = cut(rows, cost, {std::numeric_limits<double>::infinity(), max_tokens}).size();
  std::vector<std::vector<MicroBatch>> best;
  double lowest = std::numeric_limits<double>::infinity();
  for (std::uint64_t count = round_up_to_ranks(possible, ranks, rows), before = 0; count != before;) {
    // A lower bound for the cost of any cut into `count` or more pieces.
    if (useful_cost + static_cast<double>(count) * cost.pass >= static_cast<double>(ranks) * lowest) break;
    auto dealt = assign_to_ranks(make_micro_batches(cut_evenly(rows, count, max_tokens, cost), cost), ranks);
    if (const double most = cost_of_most_expensive(dealt); most < lowest) {
      lowest = most;
      best = std::move(dealt);
    }
    before = std::exchange(count, round_up_to_ranks(count + 1, ranks, rows));
  }
  return best;
}

}  // namespace

double BatchCost::of_shape(const BatchShape& shape) const {
  const std::uint64_t input_tokens = pads_attention ? shape.input_tokens : shape.predictors;
  const double tokens = (input_token + input_token_overhead) * static_cast<double>(input_tokens) +
                        (target_token + target_token_overhead) * static_cast<double>(shape.target_tokens) +
                        label * static_cast<double>(shape.labels);
  if (!pads_attention) {
    const double pairs =
        input_pair * shape.input_pairs + target_pair * shape.target_pairs + cross_pair * shape.cross_pairs;
    return tokens + (1 + pair_overhead) * pairs;
  }
  const auto input = static_cast<double>(shape.input_length), target = static_cast<double>(shape.target_length);
  const double pairs = input_pair * input * input + target_pair * target * target + cross_pair * input * target;
  return tokens + static_cast<double>(shape.rows) * pairs;
}

double BatchCost::useful_cost(const BatchShape& shape, bool has_encoder) const {
  BatchCost causal = *this;
  causal.input_token_overhead = causal.target_token_overhead = causal.pair_overhead = 0;
  causal.pads_attention = false;
  (has_encoder ? causal.target_pair : causal.input_pair) /= 2;
  return causal.of_shape(shape);
}

std::uint64_t label_tokens(const TokenizedDataset& dataset, std::uint64_t example) {
  const std::uint64_t target = dataset.target_length(example);
  const bool first_is_given = !dataset.has_encoder() && dataset.input_length(example) == 0;
  return first_is_given && target > 0 ? target - 1 : target;
}

StepPlan plan_step(const TokenizedDataset& dataset, std::span<const std::uint64_t> global_batch,
                   const MicroBatchLimits& limits, int world_size, const BatchCost& cost) {
  const SizedRows rows = sort_by_length(dataset, global_batch);
  const auto ranks = static_cast<std::uint64_t>(world_size);
  const std::uint64_t max_tokens =
      std::max<std::uint64_t>(1, std::min(limits.tokens, tokens_of_longest(rows, limits.rows)));

  StepPlan plan;
  plan.ranks = cost.pads_attention
                   ? deal_by_length(rows, ranks, max_tokens, cost)
                   : assign_to_ranks(make_micro_batches(spread(rows, ranks, max_tokens, cost), cost), ranks);
  double without_padding = 0, with_padding = 0;
  for (const SizedRow& row : rows) {
    plan.tokens += row.shape.tokens();
    plan.label_tokens += row.shape.labels;
    plan.useful_cost += cost.useful_cost(row.shape, dataset.has_encoder());
    without_padding += cost.of_shape(row.shape);
  }
  for (const auto& rank : plan.ranks) with_padding += cost_of(rank) - static_cast<double>(rank.size()) * cost.pass;
  if (cost.pads_attention) plan.padding = 1 - without_padding / with_padding;
  return plan;
}

std::vector<MicroBatch> plan_evaluation(const TokenizedDataset& dataset, std::uint64_t max_rows) {
  std::vector<std::uint64_t> examples(dataset.size());
  std::iota(examples.begin(), examples.end(), std::uint64_t{0});
  const SizedRows rows = sort_by_length(dataset, examples);
  Pieces pieces;
  for (std::size_t begin = 0; begin < rows.size(); begin += max_rows) {
    const auto first = rows.begin() + static_cast<std::ptrdiff_t>(begin);
    pieces.emplace_back(first,
                        first + static_cast<std::ptrdiff_t>(std::min<std::size_t>(max_rows, rows.size() - begin)));
  }
  return make_micro_batches(pieces, BatchCost{});
}

}  // namespace lockstep::batching
