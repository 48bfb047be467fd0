#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/models/byte_trie.h"
#include "text/models/token_model.h"
#include "text/vocabulary.h"

namespace lockstep::text {

/// Finds the most likely segmentation under a unigram language model (Kudo 2018), with the tie-breaking of
/// SentencePiece's EncodeOptimized().
class UnigramModel final : public TokenModel {
 public:
  /// Selects the precision of the sums on which ties depend: double in Hugging Face tokenizers, single in the
  /// sentencepiece library.
  enum class Precision { kSingle, kDouble };
  using Pieces = std::vector<std::pair<std::string, double>>;  // text and score, by id
  /// Consecutive unknown characters become one `unknown_id`, or their bytes if `byte_fallback` is set and the
  /// vocabulary has them. No text becomes the pieces `hidden` (sorted), such as control symbols. Throws InputError if
  /// `unknown_id` is not in the vocabulary.
  UnigramModel(const Pieces& pieces, std::optional<TokenId> unknown_id, bool byte_fallback,
               Precision precision = Precision::kDouble, const std::vector<TokenId>& hidden = {});

  /// Appends the ids of `word`. Throws InputError for an unknown character if there is no unknown_id.
  void encode(std::string_view word, std::vector<TokenId>& ids) const override;
  std::optional<TokenId> find(std::string_view token) const override { return vocabulary_.find(token); }
  std::optional<std::string_view> token(TokenId id) const override;
  std::size_t size() const override { return scores_.size(); }

 private:
  /// Appends the ids of `word`, given the score `sum` of the best path of the preceding text. Returns the score of
  /// both.
  template <class Score>
  Score encode_after(Score sum, std::string_view word, std::vector<TokenId>& ids) const;
  void encode_word_by_word(std::string_view text, std::vector<TokenId>& ids) const;
  float lowest_safe_sum(std::string_view word, std::span<const TokenId> ids) const;
  template <class Offer>
  void offer_pieces(std::string_view word, const Offer& offer) const;
  void append_unknown(std::string_view text, std::vector<TokenId>& reversed) const;

  Vocabulary vocabulary_;
  std::vector<double> scores_;
  std::vector<std::pair<TokenId, std::string>> repeated_;  // pieces whose text a later piece has, too
  ByteTrie trie_;
  std::array<std::optional<TokenId>, 256> byte_tokens_;
  std::optional<TokenId> unknown_id_;
  double unknown_score_ = 0;
  bool byte_fallback_;
  Precision precision_;
  bool separable_at_blanks_;  // see TokenModel
  std::uint64_t number_;      // unique, and never reused, unlike an address
};

}  // namespace lockstep::text
