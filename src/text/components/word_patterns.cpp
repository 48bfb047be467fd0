#include "text/components/word_patterns.h"

#include <array>
#include <cstdint>

#include "text/unicode/character_class.h"

namespace lockstep::text {
namespace {

// Sets of character classes are bit masks.
constexpr unsigned bit(CharacterClass kind) { return 1U << static_cast<unsigned>(kind); }
constexpr unsigned kLetters = bit(CharacterClass::kLetter), kNumbers = bit(CharacterClass::kNumber);
constexpr unsigned kMarks = bit(CharacterClass::kMark), kSpaces = bit(CharacterClass::kSpace);
constexpr unsigned kPunctuation = bit(CharacterClass::kPunctuation), kSymbols = bit(CharacterClass::kSymbol);
constexpr unsigned kAll = 0xFF;
constexpr unsigned kNeither = kAll & ~(kLetters | kNumbers | kSpaces);  // [^\s\p{L}\p{N}]

constexpr std::array<std::uint8_t, 128> kAsciiSets = [] {
  std::array<std::uint8_t, 128> sets{};
  for (unsigned c = 0; c < 128; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool symbol = c == '$' || c == '+' || (c >= '<' && c <= '>') || c == '^' || c == '`' || c == '|' || c == '~';
    const bool space = c == ' ' || (c >= 0x09 && c <= 0x0D);
    unsigned set = bit(CharacterClass::kOther);
    if (letter) {
      set = kLetters;
    } else if (c >= '0' && c <= '9') {
      set = kNumbers;
    } else if (space) {
      set = kSpaces;
    } else if (c > ' ' && c < 0x7F) {
      set = symbol ? kSymbols : kPunctuation;
    }
    sets[c] = static_cast<std::uint8_t>(set);
  }
  return sets;
}();

// Returns the set of the character at `position`, and moves `position` past it.
unsigned next_set(std::string_view text, std::size_t& position) {
  const auto byte = static_cast<unsigned char>(text[position]);
  if (byte < 0x80) {
    ++position;
    return kAsciiSets[byte];
  }
  return bit(character_class(next_code_point(text, position)));
}

bool is_in(std::string_view text, std::size_t position, unsigned sets) {
  return position < text.size() && (next_set(text, position) & sets) != 0;
}

// Returns the end of a run of characters of `sets` that begins at `position`, with at most `limit` characters.
std::size_t run_end(std::string_view text, std::size_t position, unsigned sets, std::size_t limit = kNoWord) {
  for (; position < text.size() && limit > 0; --limit) {
    std::size_t next = position;
    if ((next_set(text, next) & sets) == 0) break;
    position = next;
  }
  return position;
}

bool is_line_break(char byte) { return byte == '\r' || byte == '\n'; }

std::size_t line_breaks_end(std::string_view text, std::size_t position) {
  while (position < text.size() && is_line_break(text[position])) ++position;
  return position;
}

bool is_ascii_letter(char byte) { return is_ascii(byte) && kAsciiSets[static_cast<unsigned char>(byte)] == kLetters; }

// Returns the end of 's, 't, 're, 've, 'm, 'll or 'd at `begin`, or kNoWord.
std::size_t contraction_end(std::string_view text, std::size_t begin) {
  if (text[begin] != '\'') return kNoWord;
  for (const std::string_view ending : {"s", "t", "re", "ve", "m", "ll", "d"}) {
    if (text.substr(begin + 1, ending.size()) == ending) return begin + 1 + ending.size();
  }
  return kNoWord;
}

// Returns the end of (?i:'s|'t|'re|'ve|'m|'ll|'d) at `begin`, or kNoWord. U+017F, the long s, counts as an s.
std::size_t contraction_end_any_case(std::string_view text, std::size_t begin) {
  if (text[begin] != '\'') return kNoWord;
  constexpr std::string_view kLongS = "\xC5\xBF";
  if (text.substr(begin + 1, kLongS.size()) == kLongS) return begin + 1 + kLongS.size();
  char lower[] = {'\'', 0, 0};
  for (std::size_t i = 1; i < 3 && begin + i < text.size(); ++i) {
    const char byte = text[begin + i];
    lower[i] = is_ascii_letter(byte) ? static_cast<char>(byte | 0x20) : '\0';
  }
  const std::size_t end = contraction_end({lower, 3}, 0);
  return end == kNoWord ? kNoWord : begin + end;
}

// Matches \s+(?!\S)|\s+ : a run of blanks leaves its last blank to a following word, unless that is its only one.
std::size_t spaces_end(std::string_view text, std::size_t begin) {
  std::size_t end = begin, last = begin;
  while (end < text.size()) {
    std::size_t next = end;
    if ((next_set(text, next) & kSpaces) == 0) break;
    last = end;
    end = next;
  }
  return end == text.size() || last == begin ? end : last;
}

// Matches \s*[\r\n]+|\s+(?!\S)|\s+ : a run of blanks up to its last line break, if it has one.
std::size_t blanks_or_lines_end(std::string_view text, std::size_t begin) {
  const std::size_t end = run_end(text, begin, kSpaces);
  for (std::size_t i = end; i > begin; --i) {
    if (is_line_break(text[i - 1])) return i;
  }
  return spaces_end(text, begin);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|...
template <std::size_t digits>
std::size_t gpt4_word_end(std::string_view text, std::size_t begin) {
  if (const std::size_t end = contraction_end_any_case(text, begin); end != kNoWord) return end;
  std::size_t second = begin;
  const unsigned first = next_set(text, second);
  if ((first & kLetters) != 0) return run_end(text, second, kLetters);
  if ((first & kNumbers) != 0) return run_end(text, begin, kNumbers, digits);
  if (!is_line_break(text[begin]) && is_in(text, second, kLetters)) return run_end(text, second, kLetters);
  if ((first & kNeither) != 0 || (text[begin] == ' ' && is_in(text, second, kNeither))) {
    return line_breaks_end(text, run_end(text, second, kNeither));
  }
  return blanks_or_lines_end(text, begin);
}

// Matches DeepSeek V3's last pattern. Digits and Chinese characters were split off before, and control characters do
// not match.
std::size_t deepseek_word_end(std::string_view text, std::size_t begin) {
  constexpr unsigned kWord = kLetters | kMarks, kSigns = kPunctuation | kSymbols;
  std::size_t second = begin;
  const unsigned first = next_set(text, second);
  if ((first & kSigns) != 0 && is_ascii(text[begin]) && second < text.size() && is_ascii_letter(text[second])) {
    while (second < text.size() && is_ascii_letter(text[second])) ++second;
    return second;
  }
  if ((first & kWord) != 0) return run_end(text, second, kWord);
  if ((first & kSigns) == 0 && !is_line_break(text[begin]) && is_in(text, second, kWord)) {
    return run_end(text, second, kWord);
  }
  if ((first & kSigns) != 0 || (text[begin] == ' ' && is_in(text, second, kSigns))) {
    return line_breaks_end(text, run_end(text, second, kSigns));
  }
  return (first & kSpaces) != 0 ? blanks_or_lines_end(text, begin) : kNoWord;
}

// Matches \p{N}{1,3}
std::size_t three_digits_end(std::string_view text, std::size_t begin) {
  const std::size_t end = run_end(text, begin, kNumbers, 3);
  return end == begin ? kNoWord : end;
}

// Matches [一-龥぀-ゟ゠-ヿ]+
std::size_t chinese_or_japanese_end(std::string_view text, std::size_t begin) {
  std::size_t end = begin;
  while (end < text.size()) {
    const auto byte = static_cast<unsigned char>(text[end]);
    if (byte < 0xE3 || byte > 0xE9) break;  // these characters have three bytes, the first from E3 to E9
    std::size_t next = end;
    const char32_t c = next_code_point(text, next);
    if (!(c >= 0x4E00 && c <= 0x9FA5) && !(c >= 0x3040 && c <= 0x30FF)) break;
    end = next;
  }
  return end == begin ? kNoWord : end;
}

struct KnownPattern {
  std::string_view regex;
  WordMatcher matcher;
};
constexpr KnownPattern kKnownPatterns[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", gpt2_word_end},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     gpt4_word_end<3>},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     gpt4_word_end<1>},
    {R"(\p{N}{1,3})", three_digits_end},
    {"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", chinese_or_japanese_end},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^)"
     "\r\n"
     R"(\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[)"
     "\r\n"
     R"(]*|\s*[)"
     "\r\n"
     R"(]+|\s+(?!\S)|\s+)",
     deepseek_word_end},
};

}  // namespace

WordMatcher find_word_matcher(std::string_view regex) {
  for (const KnownPattern& known : kKnownPatterns) {
    if (known.regex == regex) return known.matcher;
  }
  return nullptr;
}

std::size_t gpt2_word_end(std::string_view text, std::size_t begin) {
  if (const std::size_t end = contraction_end(text, begin); end != kNoWord) return end;
  std::size_t second = text[begin] == ' ' && begin + 1 < text.size() ? begin + 1 : begin;
  const unsigned kind = next_set(text, second);
  if ((kind & kLetters) != 0) return run_end(text, second, kLetters);
  if ((kind & kNumbers) != 0) return run_end(text, second, kNumbers);
  if ((kind & kNeither) != 0) return run_end(text, second, kNeither);
  return spaces_end(text, begin);
}

}  // namespace lockstep::text
