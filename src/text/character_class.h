#pragma once

#include <cstdint>
#include <string_view>

namespace lockstep {

/// What the tokenizers' patterns tell apart: \p{L}, \p{N}, \s (Unicode White_Space) and the rest.
enum class CharacterClass : std::uint8_t { kOther, kLetter, kNumber, kSpace };

CharacterClass character_class(char32_t code_point);

/// The code point that begins at `text[position]`, which must be valid UTF-8; moves `position` behind it.
char32_t next_code_point(std::string_view text, std::size_t& position);

}  // namespace lockstep
