#include "character_class.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <memory>

namespace lockstep {
namespace {

constexpr std::uint32_t kStretches[] = {
#include "unicode_classes.inc"
};
constexpr std::uint32_t kClassMask = 7, kWordFlag = 8;
constexpr char32_t kCodePoints = 0x110000;

// One byte a code point: 1.1 MB, of which a text touches a few pages.
using ClassTable = std::array<std::uint8_t, kCodePoints>;

std::unique_ptr<const ClassTable> build_table() {
  auto table = std::make_unique<ClassTable>();
  for (std::size_t i = 0; i < std::size(kStretches); ++i) {
    const std::size_t begin = kStretches[i] >> 4;
    const std::size_t end = i + 1 < std::size(kStretches) ? kStretches[i + 1] >> 4 : kCodePoints;
    std::memset(table->data() + begin, static_cast<int>(kStretches[i] & 0xF), end - begin);
  }
  return table;
}

std::uint32_t flags(char32_t code_point) {
  static const std::unique_ptr<const ClassTable> table = build_table();
  return (*table)[code_point];
}

}  // namespace

CharacterClass character_class(char32_t code_point) {
  return static_cast<CharacterClass>(flags(code_point) & kClassMask);
}

bool is_word_character(char32_t code_point) { return (flags(code_point) & kWordFlag) != 0; }

bool is_ascii(std::string_view text) {
  std::size_t position = 0;
  for (; position + 8 <= text.size(); position += 8) {
    std::uint64_t block = 0;
    std::memcpy(&block, text.data() + position, sizeof(block));
    if ((block & 0x8080808080808080U) != 0) return false;
  }
  return std::all_of(text.begin() + static_cast<std::ptrdiff_t>(position), text.end(),
                     [](char byte) { return is_ascii(byte); });
}

std::size_t previous_character(std::string_view text, std::size_t position) {
  do {
    --position;
  } while (is_continuation_byte(text[position]));
  return position;
}

void append_utf8(char32_t code_point, std::string& text) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(byte); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

}  // namespace lockstep
