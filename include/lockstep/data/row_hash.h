#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lockstep/core/digest.h"
#include "lockstep/data/dataset.h"

namespace lockstep::data {

/// The first 128 bits of a SHA-256 over both texts of a row: rows with one hash are taken as equal.
struct RowHash {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  bool operator==(const RowHash&) const = default;
};

/// Hashes rows one after another. Texts are told apart: ("a", "bc") differs from ("ab", "c").
class RowHasher {
 public:
  RowHash operator()(const Row& row);

 private:
  core::Sha256 digest_;
};

/// True for about `share` (0 to 1) of all hashes, the same ones always: equal rows stay together, and further rows move
/// none.
bool is_held_out(const RowHash& hash, double share);

/// A set of hashes in one flat table, at most three quarters full: 21 to 43 bytes a hash, half as much again
/// while it grows.
class RowHashSet {
 public:
  /// Beyond so many different rows, duplicates are no longer counted where they are only counted: 128 MiB.
  static constexpr std::size_t kMaxCounted = 6'000'000;

  RowHashSet();
  /// True if the hash was not in the set.
  bool insert(const RowHash& hash);
  std::size_t size() const { return size_; }

 private:
  bool place(const RowHash& hash);
  void grow();

  std::vector<RowHash> slots_;  // a power of two; zero: free
  std::size_t size_ = 0;
  bool has_zero_ = false;  // the hash that looks like a free slot
};

}  // namespace lockstep::data
