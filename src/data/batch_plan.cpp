#include "lockstep/data/batch_plan.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace lockstep {
namespace {

struct Lengths {
  std::uint64_t example;
  std::uint64_t input;
  std::uint64_t target;
  std::uint64_t labels;

  std::uint64_t total() const { return input + target; }
};

// A micro-batch under construction: its padded size follows from the longest of each.
struct Growing {
  std::uint64_t rows = 0, input = 0, target = 0, labels = 0;

  Growing with(const Lengths& row) const {
    return {rows + 1, std::max(input, row.input), std::max(target, row.target), labels + row.labels};
  }
  std::uint64_t padded_tokens() const { return rows * (input + target); }
  double cost(const BatchCost& of) const { return of.of(rows, input, target, labels); }
};

// Both bound a micro-batch, unless it has one row only.
struct Limits {
  double cost;
  std::uint64_t padded_tokens;
};

// Longest first; ties by number, so that the order depends on nothing else. A decoder-only sequence is one length.
std::vector<Lengths> sort_by_length(const TokenizedDataset& dataset, std::span<const std::uint64_t> examples) {
  std::vector<Lengths> rows;
  rows.reserve(examples.size());
  for (const std::uint64_t example : examples) {
    const std::uint64_t input = dataset.input_length(example);
    const std::uint64_t target = dataset.target_length(example);
    const std::uint64_t labels = label_tokens(dataset, example);
    rows.push_back(dataset.has_encoder() ? Lengths{example, input, target, labels}
                                         : Lengths{example, input + target, 0, labels});
  }
  std::sort(rows.begin(), rows.end(), [](const Lengths& a, const Lengths& b) {
    return std::pair(b.total(), a.example) < std::pair(a.total(), b.example);
  });
  return rows;
}

// Cuts sorted rows greedily into consecutive micro-batches within the limits; ends of the pieces.
std::vector<std::size_t> cut(const std::vector<Lengths>& rows, const BatchCost& cost, const Limits& limits) {
  std::vector<std::size_t> ends;
  Growing piece;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Growing grown = piece.with(rows[i]);
    const bool is_too_large = grown.cost(cost) > limits.cost || grown.padded_tokens() > limits.padded_tokens;
    if (piece.rows > 0 && is_too_large) ends.push_back(i);
    piece = piece.rows > 0 && is_too_large ? Growing{}.with(rows[i]) : grown;
  }
  ends.push_back(rows.size());
  return ends;
}

// What micro-batches of `max_rows` rows each keep to. So a cut within them has no more pieces than those.
Limits limits_of_rows(const std::vector<Lengths>& rows, std::uint64_t max_rows, const BatchCost& cost) {
  Limits limits{0, 0};
  Growing piece;
  for (const Lengths& row : rows) {
    piece = (piece.rows == max_rows ? Growing{} : piece).with(row);
    limits.cost = std::max(limits.cost, piece.cost(cost));
    limits.padded_tokens = std::max(limits.padded_tokens, piece.padded_tokens());
  }
  return limits;
}

// The cut into at most `count` pieces, no fewer than `max_rows` rows ask for, whose dearest is cheapest, within a
// thousandth (binary search over the limit).
std::vector<std::size_t> cut_evenly(const std::vector<Lengths>& rows, std::uint64_t count, std::uint64_t max_rows,
                                    const BatchCost& cost) {
  constexpr double kWithin = 1e-3;
  Limits limits = limits_of_rows(rows, max_rows, cost);
  double low = 0;  // a row cannot be cut
  for (const Lengths& row : rows) low = std::max(low, Growing{}.with(row).cost(cost));
  for (double high = limits.cost; high - low > kWithin * high;) {
    const double middle = (low + high) / 2;
    const bool is_enough = cut(rows, cost, {middle, limits.padded_tokens}).size() <= count;
    (is_enough ? high : low) = middle;
    limits.cost = high;
  }
  return cut(rows, cost, limits);
}

MicroBatch make_micro_batch(std::span<const Lengths> rows, const BatchCost& cost) {
  MicroBatch micro_batch;
  Growing piece;
  for (const Lengths& row : rows) {
    piece = piece.with(row);
    micro_batch.examples.push_back(row.example);
  }
  micro_batch.padded_tokens = piece.padded_tokens();
  micro_batch.cost = piece.cost(cost);
  return micro_batch;
}

// Dearest first to the rank with the least so far (Graham's LPT rule).
std::vector<std::vector<MicroBatch>> deal(std::vector<MicroBatch> micro_batches, int world_size) {
  std::stable_sort(micro_batches.begin(), micro_batches.end(),
                   [](const MicroBatch& a, const MicroBatch& b) { return a.cost > b.cost; });
  std::vector<std::vector<MicroBatch>> ranks(static_cast<std::size_t>(world_size));
  std::vector<double> load(ranks.size(), 0);
  for (MicroBatch& micro_batch : micro_batches) {
    const auto rank = static_cast<std::size_t>(std::min_element(load.begin(), load.end()) - load.begin());
    load[rank] += micro_batch.cost;
    ranks[rank].push_back(std::move(micro_batch));
  }
  return ranks;
}

}  // namespace

double BatchCost::of(std::uint64_t rows, std::uint64_t input_length, std::uint64_t target_length,
                     std::uint64_t labels) const {
  const auto input = static_cast<double>(input_length), target = static_cast<double>(target_length);
  const double tokens = input_token * input + target_token * target;
  const double pairs = input_pair * input * input + target_pair * target * target + cross_pair * input * target;
  return static_cast<double>(rows) * (tokens + pairs) + label * static_cast<double>(labels);
}

std::uint64_t label_tokens(const TokenizedDataset& dataset, std::uint64_t example) {
  const std::uint64_t target = dataset.target_length(example);
  const bool first_is_given = !dataset.has_encoder() && dataset.input_length(example) == 0;
  return first_is_given && target > 0 ? target - 1 : target;
}

StepPlan plan_step(const TokenizedDataset& dataset, std::span<const std::uint64_t> global_batch, std::uint64_t max_rows,
                   int world_size, const BatchCost& cost) {
  const std::vector<Lengths> rows = sort_by_length(dataset, global_batch);
  const auto ranks = static_cast<std::uint64_t>(world_size);
  const std::uint64_t wanted = (rows.size() + max_rows - 1) / max_rows;
  const std::uint64_t count = std::min<std::uint64_t>((wanted + ranks - 1) / ranks * ranks, rows.size());

  StepPlan plan;
  std::vector<MicroBatch> micro_batches;
  std::size_t begin = 0;
  for (const std::size_t end : cut_evenly(rows, count, max_rows, cost)) {
    micro_batches.push_back(make_micro_batch(std::span(rows).subspan(begin, end - begin), cost));
    plan.padded_tokens += micro_batches.back().padded_tokens;
    begin = end;
  }
  for (const Lengths& row : rows) {
    plan.tokens += row.total();
    plan.label_tokens += row.labels;
  }
  plan.ranks = deal(std::move(micro_batches), world_size);
  return plan;
}

std::vector<MicroBatch> plan_evaluation(const TokenizedDataset& dataset, std::uint64_t max_rows) {
  std::vector<std::uint64_t> examples(dataset.size());
  std::iota(examples.begin(), examples.end(), std::uint64_t{0});
  const std::vector<Lengths> rows = sort_by_length(dataset, examples);
  std::vector<MicroBatch> batches;
  for (std::size_t begin = 0; begin < rows.size(); begin += max_rows) {
    batches.push_back(make_micro_batch(
        std::span(rows).subspan(begin, std::min<std::size_t>(max_rows, rows.size() - begin)), BatchCost{}));
  }
  return batches;
}

}  // namespace lockstep
