#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// SentencePiece's precompiled normalization rules: a double-array trie (darts-clone) of what is replaced and the
/// replacements, applied as Hugging Face tokenizers' Precompiled does.
class Charsmap {
 public:
  /// Throws InputError if `bytes` is not such a map.
  explicit Charsmap(std::string_view bytes);

  /// Appends the normalized `text`, which is valid UTF-8, to `out`.
  void apply(std::string_view text, std::string& out) const;

  /// True if `text` is left as it is, found without a look at more than its bytes.
  bool leaves(std::string_view text) const;

 private:
  std::optional<std::string_view> find(std::string_view chunk) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;     // each ends in NUL
  std::array<bool, 256> plain_;  // ASCII bytes that stay
};

}  // namespace lockstep
