#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace lockstep::text {

/// Mixes all bits of `value` (in the style of MurmurHash3's finalizer), so that the low bits can index a table of a
/// power of two.
inline std::uint64_t mix_bits(std::uint64_t value) {
  value = (value ^ (value >> 32)) * 0x9E3779B97F4A7C15U;
  value = (value ^ (value >> 29)) * 0xBF58476D1CE4E5B9U;
  return value ^ (value >> 32);
}

/// Hashes a short word, eight bytes at a time. Not meant for keys that an adversary chooses.
inline std::uint64_t hash_word(std::string_view word) {
  std::uint64_t hash = word.size() * 0x9E3779B97F4A7C15U;
  const char* bytes = word.data();
  std::size_t left = word.size();
  for (; left >= 8; left -= 8, bytes += 8) {
    std::uint64_t block = 0;
    std::memcpy(&block, bytes, 8);
    hash = mix_bits(hash ^ block);
  }
  std::uint64_t tail = 0;
  if (left >= 4) {
    std::uint32_t low = 0, high = 0;
    std::memcpy(&low, bytes, 4);
    std::memcpy(&high, bytes + left - 4, 4);
    tail = static_cast<std::uint64_t>(high) << 32 | low;
  } else if (left > 0) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])); };
    tail = byte(0) | byte(left / 2) << 8 | byte(left - 1) << 16;
  }
  return mix_bits(hash ^ tail);
}

}  // namespace lockstep::text
