#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/text/tokenizer.h"
#include "text/components/normalizer.h"
#include "text/models/byte_trie.h"
#include "text/unicode/character_class.h"

namespace lockstep::text {

/// A token that is found in the text before the model sees it.
struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = false;
  bool lstrip = false;       // swallows blanks to its left
  bool rstrip = false;       // and to its right
  bool single_word = false;  // only between non-word characters
  bool normalized = false;   // found, in its normalized form, in the normalized text
};

/// The added tokens of a tokenizer, by content and id.
class AddedTokens {
 public:
  /// Replaces an earlier token of the same content.
  void add(AddedToken token);

  const AddedToken* find(TokenId id) const;
  const AddedToken* find(std::string_view content) const;
  /// Behind the largest id; 0 without tokens.
  TokenId end_id() const { return by_id_.empty() ? 0 : by_id_.rbegin()->first + 1; }
  const std::map<std::string, AddedToken, std::less<>>& by_content() const { return by_content_; }

 private:
  std::map<std::string, AddedToken, std::less<>> by_content_;
  std::map<TokenId, std::string> by_id_;
};

/// Finds the tokens of a set in a text. Of those that match at a place the longest wins, as in Hugging Face tokenizers.
class AddedTokenFinder {
 public:
  /// Of `tokens`, which must outlive it, those with `normalized`, or the others. `normalizer` may be null.
  AddedTokenFinder(const AddedTokens& tokens, bool normalized, const Normalizer* normalizer);

  /// The text by which `token` is found here; its content if it is not of this set.
  const std::string& form_of(const AddedToken& token) const;

  /// Cuts `text` into the stretches between tokens and the tokens, in order: on_text (begin, end), on_token (token).
  template <typename OnText, typename OnToken>
  void split(std::string_view text, const OnText& on_text, const OnToken& on_token) const {
    std::size_t done = 0;  // before which all has been given out
    for (Match match = next_match(text, 0); match.token != nullptr; match = next_match(text, match.end)) {
      if (match.token->single_word && !stands_alone(text, match.begin, match.end)) continue;
      std::size_t begin = match.begin, end = match.end;
      if (match.token->lstrip) begin = std::max(blanks_begin(text, begin), done);
      if (match.token->rstrip) end = blanks_end(text, end);
      if (done < begin) on_text(done, begin);
      if (begin < end) on_token(*match.token);  // else the blanks that it is made of were swallowed before
      done = end;
    }
    if (done != text.size()) on_text(done, text.size());
  }

 private:
  struct Match {
    std::size_t begin, end;
    const AddedToken* token;  // null: none
  };
  Match next_match(std::string_view text, std::size_t from) const;
  static bool stands_alone(std::string_view text, std::size_t begin, std::size_t end);
  static std::size_t blanks_begin(std::string_view text, std::size_t end);
  static std::size_t blanks_end(std::string_view text, std::size_t begin);

  std::vector<std::pair<std::string, const AddedToken*>> tokens_;
  ByteTrie trie_;  // indices of tokens_
  std::string first_bytes_;
};

}  // namespace lockstep::text
