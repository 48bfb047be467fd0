#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "lockstep/text/tokenizer.h"

namespace lockstep::text {

/// The model of a tokenizer: words to ids, by its vocabulary. Immutable.
class TokenModel {
 public:
  virtual ~TokenModel() = default;

  /// Appends the ids of one word, which is not empty. A word's ids depend on nothing but the word.
  virtual void encode(std::string_view word, std::vector<TokenId>& ids) const = 0;

  virtual std::optional<TokenId> find(std::string_view token) const = 0;
  /// None for an id that it does not have.
  virtual std::optional<std::string_view> token(TokenId id) const = 0;
  virtual std::size_t size() const = 0;

  /// True if no token crosses a place where U+2581 follows another character, so that a text cut there has the same
  /// ids as the whole.
  virtual bool separable_at_blanks() const { return false; }
};

}  // namespace lockstep::text
