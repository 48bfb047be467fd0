#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep {

/// The end of the word that begins at `begin`, by GPT-2's pattern
/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ ; `text` is valid UTF-8.
std::size_t gpt2_word_end(std::string_view text, std::size_t begin);

/// GPT-2's printable stand-in for each byte, as UTF-8.
const std::array<std::string, 256>& byte_level_alphabet();

/// Appends the bytes behind a token of that alphabet; a token with any other character stands for itself.
void append_byte_level_decoded(std::string_view token, std::string& bytes);

}  // namespace lockstep
