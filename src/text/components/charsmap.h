#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::text {

/// SentencePiece's precompiled normalization rules: a double-array trie (darts-clone) of the texts to replace, and
/// their replacements.
class Charsmap {
 public:
  /// Selects what is looked up: grapheme clusters and characters, as Hugging Face tokenizers' Precompiled does, or the
  /// longest matching rule, as SentencePiece itself does. The results differ for combining marks.
  enum class Matching { kClusters, kLongest };

  /// Throws InputError if `bytes` is not a precompiled charsmap.
  Charsmap(std::string_view bytes, Matching matching);

  /// Appends the normalized `text` to `out`. `text` must be valid UTF-8. Throws InputError if `out` grows beyond
  /// `largest` bytes.
  void apply(std::string_view text, std::string& out, std::size_t largest) const;

  /// Returns true if a fast scan shows that `text` needs no replacement. False does not mean that it needs one.
  bool leaves(std::string_view text) const;

  /// Appends the replacement of the longest rule for a prefix of `text`, or its first character if there is no rule.
  /// Returns the number of bytes of `text` that it consumed.
  std::size_t apply_longest(std::string_view text, std::string& out) const;

  /// Returns the replacements of all rules, separated by NUL.
  std::string_view replacements() const { return replacements_; }

 private:
  struct Rule {
    std::size_t length;  // bytes of the text that are replaced
    std::string_view replacement;
  };
  /// Returns the rule for the shortest (or the longest) prefix of `text` that has one.
  std::optional<Rule> find(std::string_view text, bool longest = false) const;
  void apply_to_cluster(std::string_view cluster, std::string& out) const;

  Matching matching_;
  std::vector<std::uint32_t> units_;
  std::string replacements_;     // each ends with a NUL
  std::array<bool, 256> plain_;  // true for ASCII bytes that no rule replaces
};

}  // namespace lockstep::text
