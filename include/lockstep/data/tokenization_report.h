#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lockstep/data/example.h"

namespace lockstep {

/// How many examples have each length.
class LengthHistogram {
 public:
  void add(std::uint32_t length, std::uint64_t count = 1);

  /// The smallest length that at least `share` (0 to 1) of the examples do not exceed; 0 without examples.
  std::uint32_t percentile(double share) const;
  /// 0 without examples.
  std::uint32_t max() const;
  const std::map<std::uint32_t, std::uint64_t>& counts() const { return counts_; }

  bool operator==(const LengthHistogram&) const = default;

 private:
  std::map<std::uint32_t, std::uint64_t> counts_;
  std::uint64_t total_ = 0;
};

/// What became of the rows of a list of datasets.
struct TokenizationReport {
  std::vector<std::uint64_t> dataset_rows;  // rows of each dataset, in order
  std::uint64_t rows = 0;
  std::uint64_t examples = 0;
  std::uint64_t input_tokens = 0;
  std::uint64_t target_tokens = 0;
  std::uint64_t truncated_inputs = 0;
  std::uint64_t truncated_targets = 0;
  std::uint64_t empty_outputs = 0;
  std::map<std::string, std::uint64_t> dropped;  // reason -> rows
  LengthHistogram input_lengths;
  LengthHistogram target_lengths;
  LengthHistogram total_lengths;  // input and target together

  /// Counts an example that was kept. `rows` and `dropped` are the caller's.
  void add(const ExampleBuilder::Result& result);
  std::uint64_t dropped_rows() const;

  bool operator==(const TokenizationReport&) const = default;
};

}  // namespace lockstep
