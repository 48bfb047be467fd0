#pragma once

#include <cstddef>
#include <string_view>

namespace lockstep::text {

/// Returns the end of the extended grapheme cluster (UAX #29) that begins at `begin`. `text` must be valid UTF-8.
/// Splits clusters that need two characters of three bytes or more (Hangul, flags, emoji sequences, Indic conjuncts):
/// the only caller, Charsmap, replaces clusters of at most five bytes as a whole and all others by characters anyway.
std::size_t short_grapheme_end(std::string_view text, std::size_t begin);

}  // namespace lockstep::text
