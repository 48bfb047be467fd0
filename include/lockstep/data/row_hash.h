#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lockstep/core/digest.h"
#include "lockstep/data/dataset.h"

namespace lockstep::data {

/// The first 128 bits of a SHA-256 over both texts of a row. Rows with equal hashes are treated as equal.
struct RowHash {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  bool operator==(const RowHash&) const = default;
};

/// Hashes rows. The boundary between the texts counts: ("a", "bc") differs from ("ab", "c").
class RowHasher {
 public:
  RowHash operator()(const Row& row);

 private:
  core::Sha256 digest_;
};

/// Returns true for about `share` (0 to 1) of all hashes. The answer depends on the hash only, so equal rows land on
/// the same side and adding rows does not move existing ones.
bool is_held_out(const RowHash& hash, double share);

/// A set of hashes in one flat table that is at most three quarters full: 21 to 43 bytes per hash, and half as much
/// again while it grows.
class RowHashSet {
 public:
  /// Beyond this many distinct rows (a table of 128 MiB), duplicates are no longer looked for if they would only be
  /// counted, not dropped.
  static constexpr std::size_t kMaxCounted = 6'000'000;

  RowHashSet();
  /// Inserts `hash`. Returns true if it was not in the set.
  bool insert(const RowHash& hash);
  std::size_t size() const { return size_; }

 private:
  bool place(const RowHash& hash);
  void grow();

  std::vector<RowHash> slots_;  // size is a power of two; a zero hash marks a free slot
  std::size_t size_ = 0;
  bool has_zero_ = false;  // whether the zero hash is in the set
};

}  // namespace lockstep::data
