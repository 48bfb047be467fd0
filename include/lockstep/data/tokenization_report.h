#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lockstep/core/json.h"
#include "lockstep/data/example.h"

namespace lockstep::data {

/// How many examples have each length.
class LengthHistogram {
 public:
  void add(std::uint32_t length, std::uint64_t count = 1);
  void add(const LengthHistogram& other);

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

/// A row as it comes out of the tokenizer.
struct TokenizedRow {
  std::string position;  // where it stands, e.g. "train.jsonl: line 12"
  ExampleBuilder::Result result;
  const char* dropped = nullptr;  // the reason, if it makes no example
};

/// What reading the datasets alone shows, before a row is tokenized.
struct RowsRead {
  std::vector<std::uint64_t> dataset_rows;  // rows of each dataset, in order
  std::uint64_t rows = 0;                   // of this set: fewer where a split gives some to another
  std::uint64_t duplicates = 0;             // rows equal to an earlier one of the set
  std::uint64_t compared_rows = 0;          // of `rows`, those that duplicates were looked for among
  bool duplicates_dropped = false;
  std::vector<std::string> first_duplicates;  // where the first of them stand

  bool operator==(const RowsRead&) const = default;
};

/// What became of the rows of a list of datasets.
struct TokenizationReport {
  /// So many rows of each kind are named.
  static constexpr std::size_t kNamedRows = 5;

  RowsRead read;
  std::uint64_t examples = 0;
  std::uint64_t input_tokens = 0;
  std::uint64_t target_tokens = 0;
  std::uint64_t truncated_inputs = 0;
  std::uint64_t truncated_targets = 0;
  std::uint64_t empty_outputs = 0;
  std::map<std::string, std::uint64_t> dropped;  // reason -> rows, other than duplicates
  /// Where the first rows of a kind stand, e.g. "train.jsonl: line 12". Kinds: "truncated_inputs", "truncated_targets",
  /// "empty_outputs", and the reasons of `dropped`.
  std::map<std::string, std::vector<std::string>> first_rows;
  LengthHistogram input_lengths;
  LengthHistogram target_lengths;
  LengthHistogram total_lengths;  // input and target together

  /// Counts a row that was tokenized; `read` is the caller's.
  void add(const TokenizedRow& row);
  /// Remembers a row of the kind, unless enough are.
  void name_row(const std::string& kind, const std::string& position);
  /// Counts what `later` counts of the rows after these, all but `read`.
  void add_later(const TokenizationReport& later);
  std::uint64_t dropped_rows() const;

  /// Writes the keys "counts", "max_lengths", "first_rows", "first_duplicates" and "length_histogram" into `json`.
  void write(Json& json) const;
  /// Reads them back. Throws an exception of nlohmann's or Error if one is missing or malformed.
  static TokenizationReport read_from(const Json& json);

  bool operator==(const TokenizationReport&) const = default;
};

}  // namespace lockstep::data
