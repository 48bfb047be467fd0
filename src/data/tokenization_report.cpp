#include "lockstep/data/tokenization_report.h"

#include <cmath>

namespace lockstep {

void LengthHistogram::add(std::uint32_t length, std::uint64_t count) {
  counts_[length] += count;
  total_ += count;
}

std::uint32_t LengthHistogram::percentile(double share) const {
  const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total_)));
  std::uint64_t seen = 0;
  for (const auto& [length, count] : counts_) {
    seen += count;
    if (seen >= wanted) return length;
  }
  return 0;
}

std::uint32_t LengthHistogram::max() const { return counts_.empty() ? 0 : counts_.rbegin()->first; }

void TokenizationReport::add(const ExampleBuilder::Result& result) {
  const auto input = static_cast<std::uint32_t>(result.example.input.size());
  const auto target = static_cast<std::uint32_t>(result.example.target.size());
  examples += 1;
  input_tokens += input;
  target_tokens += target;
  truncated_inputs += result.input_truncated ? 1 : 0;
  truncated_targets += result.target_truncated ? 1 : 0;
  empty_outputs += result.empty_output ? 1 : 0;
  input_lengths.add(input);
  target_lengths.add(target);
  total_lengths.add(input + target);
}

std::uint64_t TokenizationReport::dropped_rows() const {
  std::uint64_t sum = 0;
  for (const auto& [reason, count] : dropped) sum += count;
  return sum;
}

}  // namespace lockstep
