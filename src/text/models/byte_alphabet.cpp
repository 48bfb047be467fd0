#include "text/models/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "text/unicode/character_class.h"

namespace lockstep::text {
namespace {

constexpr std::size_t kLowCharacters = 0x144;  // the alphabet ends at U+0143

struct Alphabet {
  std::array<std::string, 256> characters;
  std::array<std::int16_t, kLowCharacters> bytes;  // -1 if the character is not in the alphabet
};

// Printable Latin-1 bytes stand for themselves; the others map to code points from U+0100 on (OpenAI's encoder.py).
Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.bytes.fill(-1);
  char32_t next = 256;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
    const char32_t character = printable ? byte : next++;
    append_utf8(character, alphabet.characters[byte]);
    alphabet.bytes[character] = static_cast<std::int16_t>(byte);
  }
  return alphabet;
}

const Alphabet& alphabet() {
  static const Alphabet alphabet = make_alphabet();
  return alphabet;
}

}  // namespace

void append_in_byte_alphabet(std::string_view text, std::string& out) {
  for (const char byte : text) out += alphabet().characters[static_cast<unsigned char>(byte)];
}

void append_from_byte_alphabet(std::string_view token, std::string& bytes) {
  const std::size_t before = bytes.size();
  for (std::size_t position = 0; position < token.size();) {
    const char32_t c = next_code_point(token, position);
    const int byte = c < kLowCharacters ? alphabet().bytes[c] : -1;
    if (byte < 0) {
      bytes.resize(before);
      bytes += token;
      return;
    }
    bytes += static_cast<char>(byte);
  }
}

}  // namespace lockstep::text
