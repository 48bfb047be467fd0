#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lockstep/core/json.h"
#include "lockstep/data/example.h"

namespace lockstep::data {

/// Counts examples by length.
class LengthHistogram {
 public:
  void add(std::uint32_t length, std::uint64_t count = 1);
  void add(const LengthHistogram& other);

  /// Returns the smallest length that at least `share` (0 to 1) of the examples do not exceed; 0 if there are no
  /// examples.
  std::uint32_t percentile(double share) const;
  /// Returns the largest length; 0 if there are no examples.
  std::uint32_t max() const;
  const std::map<std::uint32_t, std::uint64_t>& counts() const { return counts_; }

  bool operator==(const LengthHistogram&) const = default;

 private:
  std::map<std::uint32_t, std::uint64_t> counts_;
  std::uint64_t total_ = 0;
};

/// A row after tokenizing.
struct TokenizedRow {
  std::string position;  // e.g. "train.jsonl: line 12"
  ExampleBuilder::Result result;
  const char* dropped = nullptr;  // the reason if the row yields no example, else null
};

/// The counts that are known after reading the datasets, before any row is tokenized.
struct RowsRead {
  std::vector<std::uint64_t> dataset_rows;  // rows of each dataset, in order
  std::uint64_t rows = 0;                   // in this set; fewer than all if a split assigns some to another set
  std::uint64_t duplicates = 0;             // rows equal to an earlier one of the set
  std::uint64_t compared_rows = 0;          // number of `rows` that were checked for being duplicates
  bool duplicates_dropped = false;
  std::vector<std::string> first_duplicates;  // locations of the first duplicates

  bool operator==(const RowsRead&) const = default;
};

/// The outcome of tokenizing the rows of a list of datasets.
struct TokenizationReport {
  /// The maximum number of rows that are named for each kind.
  static constexpr std::size_t kMaxNamedRows = 5;

  RowsRead read;
  std::uint64_t examples = 0;
  std::uint64_t input_tokens = 0;
  std::uint64_t target_tokens = 0;
  std::uint64_t truncated_inputs = 0;
  std::uint64_t truncated_targets = 0;
  std::uint64_t empty_outputs = 0;
  std::uint64_t doubled_bos = 0;                 // examples that begin with BOS twice
  std::uint64_t doubled_eos = 0;                 // examples with a text that ends with EOS twice
  std::map<std::string, std::uint64_t> dropped;  // reason -> rows, other than duplicates
  /// Locations of the first rows of each kind, e.g. "train.jsonl: line 12". The kinds are "truncated_inputs",
  /// "truncated_targets", "empty_outputs", "doubled_bos", "doubled_eos" and the reasons in `dropped`.
  std::map<std::string, std::vector<std::string>> first_rows;
  LengthHistogram input_lengths;
  LengthHistogram target_lengths;
  LengthHistogram total_lengths;  // input and target together

  /// Counts a tokenized row. The caller fills in `read`.
  void add(const TokenizedRow& row);
  /// Records the location of a row of this kind, unless kMaxNamedRows are recorded already.
  void name_row(const std::string& kind, const std::string& position);
  /// Adds the counts of `later`, whose rows follow the rows counted here, except `read`.
  void merge(const TokenizationReport& later);
  std::uint64_t dropped_rows() const;

  /// Writes the keys "counts", "max_lengths", "first_rows", "first_duplicates" and "length_histogram" into `json`.
  void write(Json& json) const;
  /// Reads a report from the keys that write() wrote. Throws a nlohmann::json exception or Error if a key is missing or
  /// malformed.
  static TokenizationReport read_from(const Json& json);

  bool operator==(const TokenizationReport&) const = default;
};

}  // namespace lockstep::data
