#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace lockstep::text {

/// U+2581, which stands for a space in SentencePiece's vocabularies.
inline constexpr std::string_view kMetaspace = "\xE2\x96\x81";

/// Returns true if no U+2581 follows another character.
inline bool has_only_leading_metaspaces(std::string_view text) {
  while (text.starts_with(kMetaspace)) text.remove_prefix(kMetaspace.size());
  return text.find(kMetaspace) == std::string_view::npos;
}

/// Returns the number of bytes before the first U+2581 that follows another character: the leading blanks and one word.
inline std::size_t first_word_bytes(std::string_view text) {
  std::size_t blanks = 0;
  while (text.substr(blanks).starts_with(kMetaspace)) blanks += kMetaspace.size();
  return std::min(text.find(kMetaspace, blanks), text.size());
}

}  // namespace lockstep::text
