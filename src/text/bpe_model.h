#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lockstep/text/tokenizer.h"

namespace lockstep {

/// Byte pair encoding (Sennrich et al. 2016) over GPT-2's byte-level alphabet.
class BpeModel {
 public:
  using Vocabulary = std::unordered_map<std::string, TokenId>;
  /// `merges` in order of rank. `ignore_merges`: a word that is in the vocabulary is taken as it is. Throws InputError
  /// naming the merge or byte that the vocabulary lacks.
  BpeModel(Vocabulary vocabulary, const std::vector<std::pair<std::string, std::string>>& merges, bool ignore_merges);

  /// Appends the ids of one word, given as bytes; O(n log n) in its length.
  void encode(std::string_view word, std::vector<TokenId>& ids) const;

  std::optional<TokenId> find(const std::string& token) const;
  bool contains(TokenId id) const { return id < tokens_.size() && tokens_[id] != nullptr; }
  /// `id` must be contained.
  const std::string& token(TokenId id) const { return *tokens_[id]; }
  std::size_t size() const { return vocabulary_.size(); }

 private:
  struct Merge {
    std::uint32_t rank;
    TokenId id;
  };
  struct PairHash {
    std::size_t operator()(std::uint64_t pair) const {
      pair *= 0x9E3779B97F4A7C15U;
      return pair ^ (pair >> 32);
    }
  };
  const Merge* find_merge(TokenId left, TokenId right) const;
  void merge_short(std::vector<TokenId>& symbols) const;
  void merge_long(std::vector<TokenId>& symbols) const;

  Vocabulary vocabulary_;
  std::vector<const std::string*> tokens_;  // by id; null where an id is not used
  std::unordered_map<std::uint64_t, Merge, PairHash> merges_;
  TokenId byte_ids_[256];
  bool ignore_merges_;
};

}  // namespace lockstep
