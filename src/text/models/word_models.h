#pragma once

#include <string>

#include "text/models/token_model.h"
#include "text/vocabulary.h"

namespace lockstep::text {

/// Has one token per word, as WordLevel of Hugging Face tokenizers.
class WordLevelModel : public TokenModel {
 public:
  WordLevelModel(Vocabulary vocabulary, std::string unk_token)
      : vocabulary_(std::move(vocabulary)), unk_token_(std::move(unk_token)) {}

  /// Appends the id of `word`. Throws InputError for an unknown word if the vocabulary lacks the unk_token; so does
  /// WordPieceModel.
  void encode(std::string_view word, std::vector<TokenId>& ids) const override;
  std::optional<TokenId> find(std::string_view token) const override { return vocabulary_.find(token); }
  std::optional<std::string_view> token(TokenId id) const override { return vocabulary_.token(id); }
  std::size_t size() const override { return vocabulary_.size(); }

 protected:
  std::size_t longest_token() const { return vocabulary_.longest(); }
  TokenId unknown_id() const;

 private:
  Vocabulary vocabulary_;
  std::string unk_token_;
};

/// Splits a word from left to right, always taking the longest piece (BERT's WordPiece).
class WordPieceModel final : public WordLevelModel {
 public:
  WordPieceModel(Vocabulary vocabulary, std::string unk_token, std::string continuing_subword_prefix,
                 std::size_t max_input_chars_per_word)
      : WordLevelModel(std::move(vocabulary), std::move(unk_token)),
        prefix_(std::move(continuing_subword_prefix)),
        max_characters_(max_input_chars_per_word) {}

  void encode(std::string_view word, std::vector<TokenId>& ids) const override;

 private:
  std::string prefix_;
  std::size_t max_characters_;
};

}  // namespace lockstep::text
