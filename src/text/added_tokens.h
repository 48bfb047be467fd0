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

/// A token that is searched for in the text before the model sees it.
struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = false;
  bool lstrip = false;       // removes blanks to its left
  bool rstrip = false;       // removes blanks to its right
  bool single_word = false;  // matches only between non-word characters
  bool normalized = false;   // matches, in its normalized form, in the normalized text
};

/// Holds the added tokens of a tokenizer, indexed by content and by id.
class AddedTokens {
 public:
  /// Adds a token, replacing an earlier one with the same content. A token that was special stays so.
  void add(AddedToken token);

  const AddedToken* find(TokenId id) const;
  const AddedToken* find(std::string_view content) const;
  /// Returns the largest id plus one, or 0 if there are no tokens.
  TokenId end_id() const { return by_id_.empty() ? 0 : by_id_.rbegin()->first + 1; }
  const std::map<std::string, AddedToken, std::less<>>& by_content() const { return by_content_; }

 private:
  std::map<std::string, AddedToken, std::less<>> by_content_;
  std::map<TokenId, std::string> by_id_;
};

/// Finds a set of added tokens in a text. Of several that match at one position the longest wins, as in Hugging Face
/// tokenizers.
class AddedTokenFinder {
 public:
  /// Searches for those of `tokens` whose `normalized` flag equals the argument. If `splits_special_tokens`, special
  /// tokens are text like any other. `tokens` must outlive this object; `normalizer` may be null.
  AddedTokenFinder(const AddedTokens& tokens, bool normalized, const Normalizer* normalizer,
                   bool splits_special_tokens = false);

  /// Returns the text by which `token` is found here, or its content if it is not in this set.
  const std::string& form_of(const AddedToken& token) const;

  /// Splits `text` into added tokens and the ranges between them, in order: calls on_text(begin, end) and
  /// on_token(token).
  template <typename OnText, typename OnToken>
  void split(std::string_view text, const OnText& on_text, const OnToken& on_token) const {
    std::size_t done = 0;  // the end of what has been emitted
    for (Match match = next_match(text, 0); match.token != nullptr; match = next_match(text, match.end)) {
      if (match.token->single_word && !is_single_word(text, match.begin, match.end)) continue;
      if (match.token->special && splits_special_tokens_) continue;
      std::size_t begin = match.begin, end = match.end;
      if (match.token->lstrip) begin = std::max(spaces_begin(text, begin), done);
      if (match.token->rstrip) end = spaces_end(text, end);
      if (done < begin) on_text(done, begin);
      if (begin < end) on_token(*match.token);  // else an earlier token removed the blanks of this one
      done = end;
    }
    if (done != text.size()) on_text(done, text.size());
  }

 private:
  struct Match {
    std::size_t begin, end;
    const AddedToken* token;  // null if there is no match
  };
  Match next_match(std::string_view text, std::size_t from) const;
  static bool is_single_word(std::string_view text, std::size_t begin, std::size_t end);
  static std::size_t spaces_begin(std::string_view text, std::size_t end);
  static std::size_t spaces_end(std::string_view text, std::size_t begin);

  std::vector<std::pair<std::string, const AddedToken*>> tokens_;
  ByteTrie trie_;  // indices of tokens_
  std::string first_bytes_;
  bool splits_special_tokens_;
};

}  // namespace lockstep::text
