#pragma once

#include <cstddef>
#include <string_view>

namespace lockstep::text {

inline constexpr std::size_t kNoWord = std::string_view::npos;

/// Returns the end of the match that begins at `begin`, or kNoWord. `text` must be valid UTF-8, and a character must
/// start at `begin`.
using WordMatcher = std::size_t (*)(std::string_view text, std::size_t begin);

/// Returns the hand-written matcher for exactly this regular expression, or null if there is none. The known
/// expressions are those by which byte-level tokenizers split words (GPT-2, Llama 3 and GPT-4, Qwen 2, DeepSeek).
WordMatcher find_word_matcher(std::string_view regex);

/// Matches GPT-2's pattern, which matches at every position:
/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
std::size_t gpt2_word_end(std::string_view text, std::size_t begin);

}  // namespace lockstep::text
