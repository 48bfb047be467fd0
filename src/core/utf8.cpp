#include "lockstep/core/utf8.h"

#include <cstdint>
#include <cstring>

namespace lockstep::core {
namespace {

struct Sequence {
  std::size_t length;  // if ill-formed, that of its maximal subpart, at least 1
  bool valid;
};

// Returns the sequence at the start of `text`.
Sequence scan(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {1, true};
  std::size_t length = 0;
  unsigned char low = 0x80, high = 0xBF;  // bounds of the second byte
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  }
  if (length == 0 || text.size() < 2 || byte(1) < low || byte(1) > high) return {1, false};
  for (std::size_t i = 2; i < length; ++i) {
    if (i >= text.size() || (byte(i) & 0xC0) != 0x80) return {i, false};
  }
  return {length, true};
}

}  // namespace

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  std::size_t position = 0;
  while (position < text.size()) {
    std::uint64_t block = 0;
    if (text.size() - position >= sizeof(block)) {
      std::memcpy(&block, text.data() + position, sizeof(block));
      if ((block & 0x8080808080808080U) == 0) {  // eight ASCII bytes at once
        position += sizeof(block);
        continue;
      }
    }
    const Sequence sequence = scan(text.substr(position));
    if (!sequence.valid) return position;
    position += sequence.length;
  }
  return std::nullopt;
}

namespace {

std::string substitute_invalid_utf8(std::string_view text, std::string_view replacement) {
  std::string result;
  while (const auto invalid = find_invalid_utf8(text)) {
    result += text.substr(0, *invalid);
    result += replacement;
    text.remove_prefix(*invalid);
    text.remove_prefix(scan(text).length);
  }
  return result.append(text);
}

}  // namespace

std::string replace_invalid_utf8(std::string_view text) { return substitute_invalid_utf8(text, "\xEF\xBF\xBD"); }

std::string drop_invalid_utf8(std::string_view text) { return substitute_invalid_utf8(text, ""); }

}  // namespace lockstep::core
