#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/models/token_model.h"
#include "text/vocabulary.h"

namespace lockstep::text {

/// Byte pair encoding (Sennrich et al. 2016), compatible with Hugging Face tokenizers' BPE.
class BpeModel final : public TokenModel {
 public:
  using Merges = std::vector<std::pair<std::string, std::string>>;
  struct Options {
    std::optional<std::string> unk_token = {};   // replaces an unknown character; if absent, that is dropped
    std::string continuing_subword_prefix = {};  // added before every character of a word except the first
    std::string end_of_word_suffix = {};         // added after the last character of a word
    bool byte_fallback = false;                  // an unknown character becomes byte tokens such as <0x41>
    bool fuse_unk = false;                       // consecutive unknown characters become one token
    bool ignore_merges = false;                  // a word that is in the vocabulary becomes one token
  };
  /// `merges` are in order of rank. Throws InputError naming the merge and the token that the vocabulary lacks.
  BpeModel(Vocabulary vocabulary, const Merges& merges, Options options);

  /// Takes O(n log n) time in the length of the word.
  void encode(std::string_view word, std::vector<TokenId>& ids) const override;
  std::optional<TokenId> find(std::string_view token) const override { return vocabulary_.find(token); }
  std::optional<std::string_view> token(TokenId id) const override { return vocabulary_.token(id); }
  std::size_t size() const override { return vocabulary_.size(); }
  bool separable_at_blanks() const override { return separable_at_blanks_; }

 private:
  struct Merge {
    std::uint64_t pair;  // left id << 32 | right id; kNoPair in an empty slot
    std::uint32_t rank;
    TokenId id;
  };
  static constexpr std::uint64_t kNoPair = ~std::uint64_t{0};

  void add_merge(TokenId left, TokenId right, std::uint32_t rank, TokenId merged);
  const Merge* find_merge(TokenId left, TokenId right) const;
  std::optional<TokenId> initial(std::string_view character, bool is_first, bool is_last) const;
  bool append_bytes(std::string_view character, bool is_first, bool is_last, std::vector<TokenId>& symbols) const;
  void append_symbols(std::string_view word, std::vector<TokenId>& symbols) const;
  void merge_short(std::vector<TokenId>& ids, std::size_t first) const;
  void merge_long(std::vector<TokenId>& ids, std::size_t first) const;

  Vocabulary vocabulary_;
  Options options_;
  std::vector<Merge> merges_;                // open addressing, at most half full
  std::array<TokenId, 512> low_characters_;  // ids of the characters below U+0200, used without affixes
  std::array<std::optional<TokenId>, 256> byte_tokens_;
  std::optional<TokenId> unk_id_;
  bool has_affixes_;
  bool separable_at_blanks_;
};

}  // namespace lockstep::text
