#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep::text {

/// The classes that the tokenizers' patterns distinguish: \p{L}, \p{N}, \p{M}, \p{P}, \p{S}, \s (Unicode White_Space)
/// and the rest, in the Unicode version of Hugging Face tokenizers' regex engine.
enum class CharacterClass : std::uint8_t { kOther, kLetter, kNumber, kMark, kPunctuation, kSymbol, kSpace };

CharacterClass character_class(char32_t code_point);

/// Unicode's general categories, by their names; kCn is an unassigned code point.
// clang-format off
enum class GeneralCategory : std::uint8_t {
  kCn, kLu, kLl, kLt, kLm, kLo, kMn, kMc, kMe, kNd, kNl, kNo, kPc, kPd, kPs, kPe, kPi, kPf, kPo,
  kSm, kSc, kSk, kSo, kZs, kZl, kZp, kCc, kCf, kCo
};
// clang-format on

GeneralCategory general_category(char32_t code_point);

/// Returns true for \w of the Rust regex crate: alphabetic, mark, decimal digit, connector punctuation, join control.
bool is_word_character(char32_t code_point);

inline bool is_ascii(char byte) { return static_cast<unsigned char>(byte) < 0x80; }
inline bool is_continuation_byte(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }
/// Returns true if all of `text` is ASCII. Tests eight bytes at a time.
bool is_ascii(std::string_view text);

/// Returns the code point at `text[position]` and moves `position` past it. `text` must be valid UTF-8.
inline char32_t next_code_point(std::string_view text, std::size_t& position) {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[position + i]));
  };
  const char32_t first = byte(0);
  char32_t code_point = first;
  std::size_t length = 1;
  if (first >= 0xF0) {
    code_point = (first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    length = 4;
  } else if (first >= 0xE0) {
    code_point = (first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    length = 3;
  } else if (first >= 0xC0) {
    code_point = (first & 0x1F) << 6 | (byte(1) & 0x3F);
    length = 2;
  }
  position += length;
  return code_point;
}

/// Returns the code point at `text[position]`.
inline char32_t code_point_at(std::string_view text, std::size_t position) { return next_code_point(text, position); }

/// Returns the start of the character before `position`, which must not be 0.
std::size_t previous_character(std::string_view text, std::size_t position);

void append_utf8(char32_t code_point, std::string& text);

/// Returns true if `text`, which must be valid UTF-8, is exactly one code point.
bool is_one_character(std::string_view text);

}  // namespace lockstep::text
