#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep::text {

/// What the tokenizers' patterns tell apart: \p{L}, \p{N}, \p{M}, \p{P}, \p{S}, \s (Unicode White_Space) and the rest,
/// by the Unicode version of Hugging Face tokenizers' regex engine.
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

/// \w of the Rust regex crate: alphabetic, mark, decimal digit, connector punctuation, join control.
bool is_word_character(char32_t code_point);

inline bool is_ascii(char byte) { return static_cast<unsigned char>(byte) < 0x80; }
inline bool is_continuation_byte(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }
/// True if all of `text` is ASCII; eight bytes at a time.
bool is_ascii(std::string_view text);

/// The code point that begins at `text[position]`, which must be valid UTF-8; moves `position` behind it.
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

/// The code point at `text[position]`.
inline char32_t code_point_at(std::string_view text, std::size_t position) { return next_code_point(text, position); }

/// Where the character before `position` begins; `position` must not be 0.
std::size_t previous_character(std::string_view text, std::size_t position);

void append_utf8(char32_t code_point, std::string& text);

/// True if `text`, which is valid UTF-8, is one code point.
bool is_one_character(std::string_view text);

}  // namespace lockstep::text
