#include "text/components/split_behavior.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/core/error.h"

namespace lockstep::text {
namespace {

// Merges a delimiter into the preceding piece, unless that is a delimiter, too.
void merge_with_previous(const std::vector<Segment>& segments, std::vector<TextRange>& pieces) {
  bool after_delimiter = false;
  for (const Segment& segment : segments) {
    if (segment.is_delimiter && !after_delimiter && !pieces.empty()) {
      pieces.back().end = segment.end;
    } else {
      pieces.push_back({segment.begin, segment.end});
    }
    after_delimiter = segment.is_delimiter;
  }
}

// Merges a delimiter into the following piece, unless that is a delimiter, too.
void merge_with_next(const std::vector<Segment>& segments, std::vector<TextRange>& pieces) {
  bool before_delimiter = false;
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    if (segment->is_delimiter && !before_delimiter && !pieces.empty()) {
      pieces.back().begin = segment->begin;
    } else {
      pieces.push_back({segment->begin, segment->end});
    }
    before_delimiter = segment->is_delimiter;
  }
  std::reverse(pieces.begin(), pieces.end());
}

void merge_equals(const std::vector<Segment>& segments, std::vector<TextRange>& pieces) {
  bool after_delimiter = false;
  for (const Segment& segment : segments) {
    if (segment.is_delimiter == after_delimiter && !pieces.empty()) {
      pieces.back().end = segment.end;
    } else {
      pieces.push_back({segment.begin, segment.end});
    }
    after_delimiter = segment.is_delimiter;
  }
}

}  // namespace

SplitBehavior parse_split_behavior(const std::string& name) {
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  throw InputError(
      fmt::format("the behavior '{}' is not known; expected Removed, Isolated, MergedWithPrevious, MergedWithNext or "
                  "Contiguous",
                  name));
}

void merge_segments(SplitBehavior behavior, const std::vector<Segment>& segments, std::vector<TextRange>& pieces) {
  pieces.clear();
  switch (behavior) {
    case SplitBehavior::kRemoved:
      for (const Segment& segment : segments) {
        if (!segment.is_delimiter) pieces.push_back({segment.begin, segment.end});
      }
      break;
    case SplitBehavior::kIsolated:
      for (const Segment& segment : segments) pieces.push_back({segment.begin, segment.end});
      break;
    case SplitBehavior::kMergedWithPrevious:
      return merge_with_previous(segments, pieces);
    case SplitBehavior::kMergedWithNext:
      return merge_with_next(segments, pieces);
    case SplitBehavior::kContiguous:
      return merge_equals(segments, pieces);
  }
}

}  // namespace lockstep::text
