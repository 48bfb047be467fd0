#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "lockstep/data/row_hash.h"

namespace lockstep::data {

/// Which rows of the datasets make a set.
struct RowSelection {
  enum class Part { all, training, validation };

  bool deduplicate = false;     // of equal rows, the first alone
  double validation_split = 0;  // the share of the rows, drawn by their hash, that the validation part gets
  Part part = Part::all;        // of the split; all: there is none

  bool operator==(const RowSelection&) const = default;
};

/// What becomes of each row, decided in the order of the rows and from their text alone: the same for any number of
/// processes and threads, and known before a row is tokenized.
class RowPlan {
 public:
  struct Place {
    bool in_set = false;                 // false: it belongs to the other part of the split
    bool duplicate = false;              // equal to an earlier row of the set
    std::optional<std::uint64_t> shard;  // ascending; none: the row is left out
  };

  /// A shard takes rows, and one at least, until their text, with 16 bytes more for each row, would exceed
  /// `shard_text_bytes`.
  RowPlan(const RowSelection& selection, std::uint64_t shard_text_bytes);

  /// `text_bytes` are those of the row's two texts.
  Place place(const RowHash& hash, std::size_t text_bytes);
  /// Rows that were compared with all earlier ones: all of the set, unless there are so many different ones that
  /// counting stopped (RowHashSet::kMaxCounted; never with `deduplicate`).
  std::uint64_t compared_rows() const { return compared_rows_; }

 private:
  bool is_duplicate(const RowHash& hash);

  RowSelection selection_;
  std::uint64_t shard_text_bytes_;
  RowHashSet seen_;
  std::uint64_t compared_rows_ = 0;
  std::uint64_t shard_ = 0;
  std::uint64_t text_bytes_ = 0;  // of the shard so far, as the constructor counts them
};

}  // namespace lockstep::data
