#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "lockstep/data/row_hash.h"

namespace lockstep::data {

/// Selects the rows of the datasets that make up a set.
struct RowSelection {
  enum class Part { kAll, kTraining, kValidation };

  bool deduplicate = false;     // keep only the first of equal rows
  double validation_split = 0;  // share of the rows, selected by hash, that goes to validation
  Part part = Part::kAll;       // kAll: there is no split

  bool operator==(const RowSelection&) const = default;
};

/// Decides what happens to each row, in the order of the rows and from their text only. The result is the same for any
/// number of processes and threads, and is known before the row is tokenized.
class RowPlan {
 public:
  struct Place {
    bool in_set = false;                 // false: the row belongs to the other part of the split
    bool duplicate = false;              // equals an earlier row of the set
    std::optional<std::uint64_t> shard;  // never decreases; nullopt: the row is left out
  };

  /// A shard takes rows until their text, counted with 16 extra bytes per row, would exceed `shard_text_bytes`; it
  /// takes at least one row.
  RowPlan(const RowSelection& selection, std::uint64_t shard_text_bytes);

  /// Places the next row. `text_bytes` is the size of the row's two texts together.
  Place place(const RowHash& hash, std::size_t text_bytes);
  /// Returns the number of rows that were compared with all earlier ones: all rows of the set, unless it has so many
  /// distinct rows that the comparison stopped (RowHashSet::kMaxCounted; it never stops with `deduplicate`).
  std::uint64_t compared_rows() const { return compared_rows_; }

 private:
  bool is_duplicate(const RowHash& hash);

  RowSelection selection_;
  std::uint64_t shard_text_bytes_;
  RowHashSet seen_;
  std::uint64_t compared_rows_ = 0;
  std::uint64_t shard_ = 0;
  std::uint64_t text_bytes_ = 0;  // of the current shard, counted as in the constructor
};

}  // namespace lockstep::data
