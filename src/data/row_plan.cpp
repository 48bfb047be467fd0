#include "lockstep/data/row_plan.h"

namespace lockstep::data {
namespace {

// Offsets per row. Without counting them, very short rows would make large shards.
constexpr std::uint64_t kOffsetBytes = 16;

}  // namespace

RowPlan::RowPlan(const RowSelection& selection, std::uint64_t shard_text_bytes)
    : selection_(selection), shard_text_bytes_(shard_text_bytes) {}

RowPlan::Place RowPlan::place(const RowHash& hash, std::size_t text_bytes) {
  Place place;
  if (selection_.part != RowSelection::Part::kAll) {
    const bool held_out = is_held_out(hash, selection_.validation_split);
    if (held_out != (selection_.part == RowSelection::Part::kValidation)) return place;
  }
  place.in_set = true;
  place.duplicate = is_duplicate(hash);
  if (place.duplicate && selection_.deduplicate) return place;
  const std::uint64_t bytes = text_bytes + kOffsetBytes;
  if (text_bytes_ > 0 && text_bytes_ + bytes > shard_text_bytes_) {
    ++shard_;
    text_bytes_ = 0;
  }
  text_bytes_ += bytes;
  place.shard = shard_;
  return place;
}

bool RowPlan::is_duplicate(const RowHash& hash) {
  if (!selection_.deduplicate && seen_.size() >= RowHashSet::kMaxCounted) return false;
  ++compared_rows_;
  return !seen_.insert(hash);
}

}  // namespace lockstep::data
