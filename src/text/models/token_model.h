#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "lockstep/text/tokenizer.h"

namespace lockstep::text {

/// Maps words to ids by a vocabulary. Immutable.
class TokenModel {
 public:
  virtual ~TokenModel() = default;

  /// Appends the ids of one word, which must not be empty. The ids of a word depend only on the word.
  virtual void encode(std::string_view word, std::vector<TokenId>& ids) const = 0;

  virtual std::optional<TokenId> find(std::string_view token) const = 0;
  /// Returns none for an unknown id.
  virtual std::optional<std::string_view> token(TokenId id) const = 0;
  virtual std::size_t size() const = 0;

  /// Returns true if no token spans a position where U+2581 follows another character, so that a text can be cut there
  /// without changing its ids.
  virtual bool separable_at_blanks() const { return false; }
};

}  // namespace lockstep::text
