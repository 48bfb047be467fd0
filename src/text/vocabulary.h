#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/text/tokenizer.h"

namespace lockstep::text {

/// Maps tokens to ids and back.
class Vocabulary {
 public:
  /// Adds a token. One that is already there gets the new id.
  void add(std::string_view token, TokenId id);
  void reserve(std::size_t tokens);

  std::optional<TokenId> find(std::string_view token) const;
  /// Returns none for an id that no token has.
  std::optional<std::string_view> token(TokenId id) const;
  std::size_t size() const { return entries_.size(); }
  /// Returns the size of the longest token in bytes.
  std::size_t longest() const { return longest_; }

 private:
  struct Entry {
    std::uint32_t offset, length;  // in bytes_
    TokenId id;
  };
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  std::string_view text(const Entry& entry) const { return {bytes_.data() + entry.offset, entry.length}; }
  std::size_t slot_of(std::string_view token) const;
  void rehash(std::size_t slots);

  std::string bytes_;
  std::size_t longest_ = 0;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  // open addressing; indices into entries_
  std::vector<std::uint32_t> by_id_;  // indices into entries_
};

}  // namespace lockstep::text
