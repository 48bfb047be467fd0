#pragma once

#include <cstddef>
#include <string_view>

namespace lockstep::text {

/// The end of the extended grapheme cluster (UAX #29) that begins at `begin`; `text` is valid UTF-8. Clusters that
/// need two characters of three bytes or more (Hangul, flags, emoji sequences, Indic conjuncts) are left apart: their
/// user, the charsmap, takes clusters of less than six bytes as a whole and all others by characters.
std::size_t short_grapheme_end(std::string_view text, std::size_t begin);

}  // namespace lockstep::text
