#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::text {

/// SentencePiece's precompiled normalization rules: a double-array trie (darts-clone) of what is replaced and the
/// replacements.
class Charsmap {
 public:
  /// What is looked up at a place of the text: grapheme clusters and characters, as Hugging Face tokenizers'
  /// Precompiled does, or the longest rule that matches, as SentencePiece itself does. They differ where marks combine.
  enum class Matching { kClusters, kLongest };

  /// Throws InputError if `bytes` is not such a map.
  Charsmap(std::string_view bytes, Matching matching);

  /// Appends the normalized `text`, which is valid UTF-8, to `out`. Throws InputError if `out` becomes longer than
  /// `largest` bytes.
  void apply(std::string_view text, std::string& out, std::size_t largest) const;

  /// True if `text` is left as it is, found without a look at more than its bytes.
  bool leaves(std::string_view text) const;

 private:
  struct Rule {
    std::size_t length;  // bytes of the text
    std::string_view replacement;
  };
  /// The rule for the shortest or the longest prefix of `text`.
  std::optional<Rule> find(std::string_view text, bool longest = false) const;
  void apply_to_cluster(std::string_view cluster, std::string& out) const;
  std::size_t apply_longest(std::string_view text, std::string& out) const;

  Matching matching_;
  std::vector<std::uint32_t> units_;
  std::string replacements_;     // each ends in NUL
  std::array<bool, 256> plain_;  // ASCII bytes that stay
};

}  // namespace lockstep::text
