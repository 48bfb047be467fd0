#pragma once

#include <cstddef>
#include <string_view>

namespace lockstep::text {

inline constexpr std::size_t kNoWord = std::string_view::npos;

/// Where the match that begins at `begin`, the start of a character of valid UTF-8, ends; kNoWord without one.
using WordMatcher = std::size_t (*)(std::string_view text, std::size_t begin);

/// The hand-written matcher of exactly this regular expression, of those that byte-level tokenizers split words by
/// (GPT-2, Llama 3 and GPT-4, Qwen 2, DeepSeek); null if there is none.
WordMatcher find_word_matcher(std::string_view regex);

/// GPT-2's: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ ; it matches everywhere.
std::size_t gpt2_word_end(std::string_view text, std::size_t begin);

}  // namespace lockstep::text
