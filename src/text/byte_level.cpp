#include "byte_level.h"

#include <algorithm>
#include <unordered_map>

#include "character_class.h"

namespace lockstep {
namespace {

// The length of 's, 't, 're, 've, 'm, 'll or 'd at `begin`; 0 without one.
std::size_t contraction_length(std::string_view text, std::size_t begin) {
  if (text[begin] != '\'') return 0;
  for (const std::string_view ending : {"s", "t", "re", "ve", "m", "ll", "d"}) {
    if (text.substr(begin + 1, ending.size()) == ending) return 1 + ending.size();
  }
  return 0;
}

CharacterClass class_at(std::string_view text, std::size_t position) {
  return character_class(next_code_point(text, position));
}

// Behind the last character of `kind` from `position` on.
std::size_t run_end(std::string_view text, std::size_t position, CharacterClass kind) {
  while (position < text.size()) {
    std::size_t next = position;
    if (character_class(next_code_point(text, next)) != kind) break;
    position = next;
  }
  return position;
}

// \s+(?!\S)|\s+ : a run of blanks leaves its last one to the word behind it, unless it is the only one.
std::size_t blanks_end(std::string_view text, std::size_t begin) {
  std::size_t end = begin, last = begin;
  while (end < text.size()) {
    std::size_t next = end;
    if (character_class(next_code_point(text, next)) != CharacterClass::kSpace) break;
    last = end;
    end = next;
  }
  return end == text.size() || last == begin ? end : last;
}

std::string to_utf8(char32_t code_point) {  // below U+0800
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xC0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 0x3F))};
}

const std::unordered_map<std::string_view, char>& byte_level_bytes() {
  static const auto bytes = [] {
    std::unordered_map<std::string_view, char> map;
    for (std::size_t byte = 0; byte < 256; ++byte) map.emplace(byte_level_alphabet()[byte], static_cast<char>(byte));
    return map;
  }();
  return bytes;
}

}  // namespace

std::size_t gpt2_word_end(std::string_view text, std::size_t begin) {
  if (const std::size_t length = contraction_length(text, begin); length > 0) return begin + length;
  const std::size_t body = text[begin] == ' ' && begin + 1 < text.size() ? begin + 1 : begin;
  const CharacterClass kind = class_at(text, body);
  if (kind != CharacterClass::kSpace) return run_end(text, body, kind);
  return blanks_end(text, begin);
}

const std::array<std::string, 256>& byte_level_alphabet() {
  // Printable Latin-1 bytes stand for themselves, the others for the code points from U+0100 on (OpenAI's encoder.py).
  static const auto alphabet = [] {
    std::array<std::string, 256> characters;
    char32_t next = 256;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
      characters[byte] = to_utf8(printable ? byte : next++);
    }
    return characters;
  }();
  return alphabet;
}

void append_byte_level_decoded(std::string_view token, std::string& bytes) {
  const std::size_t before = bytes.size();
  for (std::size_t position = 0; position < token.size();) {
    const std::size_t begin = position;
    next_code_point(token, position);
    const auto byte = byte_level_bytes().find(token.substr(begin, position - begin));
    if (byte == byte_level_bytes().end()) {
      bytes.resize(before);
      bytes += token;
      return;
    }
    bytes += byte->second;
  }
}

}  // namespace lockstep
