#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "lockstep/text/tokenizer.h"
#include "text/models/word_hash.h"

namespace lockstep::text {

/// Caches the ids of words. Bounded: when it is full, it is cleared. Must be used by one thread.
class WordCache {
 public:
  /// Longer words are not worth caching.
  static constexpr std::size_t kLongestWord = 64;

  WordCache();

  /// Appends the ids of `word`, which must be at most kLongestWord long. Calls encode(word, ids) if the word is not
  /// cached.
  template <typename Encode>
  void append(std::string_view word, std::vector<TokenId>& ids, const Encode& encode) {
    const std::uint64_t hash = hash_word(word);
    if (const Entry* entry = find(word, hash)) {
      const std::span<const TokenId> found = ids_of(*entry);
      if (found.size() == 1) {
        ids.push_back(found.front());
      } else {
        ids.insert(ids.end(), found.begin(), found.end());
      }
      return;
    }
    const std::size_t before = ids.size();
    encode(word, ids);
    insert(word, hash, std::span(ids).subspan(before));
  }

  struct Entry {
    std::uint64_t hash = 0;
    std::uint32_t offset = 0, first_id = 0;  // into bytes_ and ids_
    std::uint16_t length = 0, ids = 0;       // length 0 marks an empty slot
    float note = 0;                          // for use by the caller
  };
  /// Returns the entry of a word, or null. The pointer is valid until insert() or clear().
  const Entry* find(std::string_view word, std::uint64_t hash) const {
    for (std::size_t slot = hash & (kSlots - 1); slots_[slot].length != 0; slot = (slot + 1) & (kSlots - 1)) {
      const Entry& entry = slots_[slot];
      if (entry.hash == hash && entry.length == word.size() &&
          std::memcmp(bytes_.data() + entry.offset, word.data(), word.size()) == 0) {
        return &entry;
      }
    }
    return nullptr;
  }
  std::span<const TokenId> ids_of(const Entry& entry) const { return {ids_.data() + entry.first_id, entry.ids}; }
  /// Adds a word that is not cached yet and at most kLongestWord long; `hash` is hash_word(word).
  void insert(std::string_view word, std::uint64_t hash, std::span<const TokenId> ids, float note = 0);

  void clear();

 private:
  static constexpr std::size_t kSlots = 1 << 17;

  std::vector<Entry> slots_;  // open addressing
  std::vector<char> bytes_;
  std::vector<TokenId> ids_;
  std::size_t words_ = 0;
};

}  // namespace lockstep::text
