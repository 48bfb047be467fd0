#include "text/unicode/character_class.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <memory>

namespace lockstep::text {
namespace {

constexpr std::uint32_t kClassRanges[] = {
#include "text/unicode/unicode_classes.inc"
};
constexpr unsigned kCategoryBits = 5, kStartBits = 6;
constexpr std::uint32_t kCategoryMask = (1 << kCategoryBits) - 1, kWordFlag = 1 << kCategoryBits;
constexpr char32_t kCodePoints = 0x110000;

bool is_white_space(char32_t c, GeneralCategory category) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x85 || category == GeneralCategory::kZs ||
         category == GeneralCategory::kZl || category == GeneralCategory::kZp;
}

CharacterClass class_of(char32_t code_point, GeneralCategory category) {
  const auto within = [&](GeneralCategory first, GeneralCategory last) {
    return category >= first && category <= last;
  };
  if (is_white_space(code_point, category)) return CharacterClass::kSpace;
  if (within(GeneralCategory::kLu, GeneralCategory::kLo)) return CharacterClass::kLetter;
  if (within(GeneralCategory::kMn, GeneralCategory::kMe)) return CharacterClass::kMark;
  if (within(GeneralCategory::kNd, GeneralCategory::kNo)) return CharacterClass::kNumber;
  if (within(GeneralCategory::kPc, GeneralCategory::kPo)) return CharacterClass::kPunctuation;
  if (within(GeneralCategory::kSm, GeneralCategory::kSo)) return CharacterClass::kSymbol;
  return CharacterClass::kOther;
}

// The tables have one byte per code point, 2.2 MB in all, of which a text touches only a few pages.
struct Tables {
  std::array<std::uint8_t, kCodePoints> categories;  // including kWordFlag
  std::array<CharacterClass, kCodePoints> classes;
};

std::unique_ptr<const Tables> build_tables() {
  auto tables = std::make_unique<Tables>();
  for (std::size_t i = 0; i < std::size(kClassRanges); ++i) {
    const std::size_t begin = kClassRanges[i] >> kStartBits;
    const std::size_t end = i + 1 < std::size(kClassRanges) ? kClassRanges[i + 1] >> kStartBits : kCodePoints;
    const std::uint32_t flags = kClassRanges[i] & (kCategoryMask | kWordFlag);
    std::memset(tables->categories.data() + begin, static_cast<int>(flags), end - begin);
    for (std::size_t c = begin; c < end; ++c) {
      tables->classes[c] = class_of(static_cast<char32_t>(c), static_cast<GeneralCategory>(flags & kCategoryMask));
    }
  }
  return tables;
}

const Tables& tables() {
  static const std::unique_ptr<const Tables> tables = build_tables();
  return *tables;
}

}  // namespace

CharacterClass character_class(char32_t code_point) { return tables().classes[code_point]; }

GeneralCategory general_category(char32_t code_point) {
  return static_cast<GeneralCategory>(tables().categories[code_point] & kCategoryMask);
}

bool is_word_character(char32_t code_point) { return (tables().categories[code_point] & kWordFlag) != 0; }

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

bool is_one_character(std::string_view text) {
  std::size_t end = 0;
  if (!text.empty()) next_code_point(text, end);
  return end > 0 && end == text.size();
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

}  // namespace lockstep::text
