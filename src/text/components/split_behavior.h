#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lockstep/text/components/text_pattern.h"

namespace lockstep::text {

/// What becomes of the delimiters where a text is split (SplitDelimiterBehavior of Hugging Face tokenizers).
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// By its name in a tokenizer.json ("MergedWithNext"). Throws InputError for another.
SplitBehavior parse_split_behavior(const std::string& name);

/// A stretch of a text: a delimiter or what stands between two.
struct Segment {
  std::size_t begin, end;
  bool is_delimiter;
};

/// The pieces that `segments`, which cover a text in order, become.
void merge_segments(SplitBehavior behavior, const std::vector<Segment>& segments, std::vector<TextRange>& pieces);

}  // namespace lockstep::text
