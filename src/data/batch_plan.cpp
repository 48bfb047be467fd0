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

  std::uint64_t total() const { return input + target; }
};

// A micro-batch under construction: its padded size follows from the longest of each.
class Growing {
 public:
  std::uint64_t padded_tokens_with(const Lengths& row) const {
    return (rows_ + 1) * (std::max(input_, row.input) + std::max(target_, row.target));
  }
  void add(const Lengths& row) {
    padded_tokens_ = padded_tokens_with(row);
    input_ = std::max(input_, row.input);
    target_ = std::max(target_, row.target);
    ++rows_;
  }
  std::uint64_t rows() const { return rows_; }
  std::uint64_t padded_tokens() const { return padded_tokens_; }

 private:
  std::uint64_t rows_ = 0, input_ = 0, target_ = 0, padded_tokens_ = 0;
};

// Longest first; ties by number, so that the order depends on nothing else. A decoder-only sequence is one length.
std::vector<Lengths> sort_by_length(const TokenizedDataset& dataset, std::span<const std::uint64_t> examples) {
  std::vector<Lengths> rows;
  rows.reserve(examples.size());
  for (const std::uint64_t example : examples) {
    const std::uint64_t input = dataset.input_length(example);
    const std::uint64_t target = dataset.target_length(example);
    rows.push_back(dataset.has_encoder() ? Lengths{example, input, target} : Lengths{example, input + target, 0});
  }
  std::sort(rows.begin(), rows.end(), [](const Lengths& a, const Lengths& b) {
    return std::pair(b.total(), a.example) < std::pair(a.total(), b.example);
  });
  return rows;
}

// Cuts sorted rows greedily into consecutive micro-batches of at most `budget` padded tokens; ends of the pieces.
std::vector<std::size_t> cut(const std::vector<Lengths>& rows, std::uint64_t budget) {
  std::vector<std::size_t> ends;
  Growing piece;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (piece.rows() > 0 && piece.padded_tokens_with(rows[i]) > budget) {
      ends.push_back(i);
      piece = {};
    }
    piece.add(rows[i]);
  }
  ends.push_back(rows.size());
  return ends;
}

// The cut into at most `count` pieces whose largest is smallest (binary search over the budget).
std::vector<std::size_t> cut_evenly(const std::vector<Lengths>& rows, std::uint64_t count) {
  std::uint64_t low = 1;
  Growing whole;
  for (const Lengths& row : rows) whole.add(row);
  std::uint64_t high = whole.padded_tokens();
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (cut(rows, middle).size() <= count) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return cut(rows, low);
}

MicroBatch make_micro_batch(std::span<const Lengths> rows) {
  MicroBatch micro_batch;
  Growing piece;
  for (const Lengths& row : rows) {
    piece.add(row);
    micro_batch.examples.push_back(row.example);
  }
  micro_batch.padded_tokens = piece.padded_tokens();
  return micro_batch;
}

// Largest first to the rank with the least so far (Graham's LPT rule).
std::vector<std::vector<MicroBatch>> deal(std::vector<MicroBatch> micro_batches, int world_size) {
  std::stable_sort(micro_batches.begin(), micro_batches.end(),
                   [](const MicroBatch& a, const MicroBatch& b) { return a.padded_tokens > b.padded_tokens; });
  std::vector<std::vector<MicroBatch>> ranks(static_cast<std::size_t>(world_size));
  std::vector<std::uint64_t> load(ranks.size(), 0);
  for (MicroBatch& micro_batch : micro_batches) {
    const auto rank = static_cast<std::size_t>(std::min_element(load.begin(), load.end()) - load.begin());
    load[rank] += micro_batch.padded_tokens;
    ranks[rank].push_back(std::move(micro_batch));
  }
  return ranks;
}

}  // namespace

std::uint64_t label_tokens(const TokenizedDataset& dataset, std::uint64_t example) {
  const std::uint64_t target = dataset.target_length(example);
  const bool first_is_given = !dataset.has_encoder() && dataset.input_length(example) == 0;
  return first_is_given && target > 0 ? target - 1 : target;
}

StepPlan plan_step(const TokenizedDataset& dataset, std::span<const std::uint64_t> global_batch, std::uint64_t max_rows,
                   int world_size) {
  const std::vector<Lengths> rows = sort_by_length(dataset, global_batch);
  const auto ranks = static_cast<std::uint64_t>(world_size);
  const std::uint64_t wanted = (rows.size() + max_rows - 1) / max_rows;
  const std::uint64_t count = std::min<std::uint64_t>((wanted + ranks - 1) / ranks * ranks, rows.size());

  StepPlan plan;
  std::vector<MicroBatch> micro_batches;
  std::size_t begin = 0;
  for (const std::size_t end : cut_evenly(rows, count)) {
    micro_batches.push_back(make_micro_batch(std::span(rows).subspan(begin, end - begin)));
    plan.padded_tokens += micro_batches.back().padded_tokens;
    begin = end;
  }
  for (const Lengths& row : rows) {
    plan.tokens += row.total();
    plan.label_tokens += label_tokens(dataset, row.example);
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
    batches.push_back(
        make_micro_batch(std::span(rows).subspan(begin, std::min<std::size_t>(max_rows, rows.size() - begin))));
  }
  return batches;
}

}  // namespace lockstep
