#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lockstep/text/components/text_pattern.h"

namespace lockstep::text {

/// Says what happens to the delimiters at which a text is split (SplitDelimiterBehavior of Hugging Face tokenizers).
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// Returns the behavior by its name in a tokenizer.json ("MergedWithNext"). Throws InputError for an unknown name.
SplitBehavior parse_split_behavior(const std::string& name);

/// A range of a text: a delimiter, or what lies between two.
struct Segment {
  std::size_t begin, end;
  bool is_delimiter;
};

/// Merges `segments`, which cover a text in order, into `pieces`.
void merge_segments(SplitBehavior behavior, const std::vector<Segment>& segments, std::vector<TextRange>& pieces);

}  // namespace lockstep::text
