#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/text/tokenizer.h"

namespace lockstep {

/// A token that is found in the text before the model sees it.
struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = false;
  bool lstrip = false;       // swallows blanks to its left
  bool rstrip = false;       // and to its right
  bool single_word = false;  // only between non-word characters
};

/// The added tokens of a tokenizer. Of those that match at a place the longest wins, as in Hugging Face tokenizers.
class AddedTokens {
 public:
  /// Replaces an earlier token of the same content.
  void add(AddedToken token);

  const AddedToken* find(TokenId id) const;
  const AddedToken* find(std::string_view content) const;
  bool empty() const { return by_content_.empty(); }
  TokenId largest_id() const { return by_id_.empty() ? 0 : by_id_.rbegin()->first; }

  /// Cuts `text` into the stretches between added tokens and the tokens, in order.
  void split(std::string_view text, const std::function<void(std::string_view)>& on_text,
             const std::function<void(const AddedToken&)>& on_token) const;

 private:
  const AddedToken* match(std::string_view text, std::size_t position) const;

  std::map<std::string, AddedToken, std::less<>> by_content_;
  std::map<TokenId, std::string> by_id_;
  std::map<char, std::vector<std::string>> by_first_byte_;  // longest first
};

}  // namespace lockstep
