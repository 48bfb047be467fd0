#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lockstep/core/json.h"
#include "text/added_tokens.h"
#include "text/components/sentencepiece_normalizer.h"
#include "text/models/bpe_model.h"
#include "text/models/token_model.h"
#include "text/models/unigram_model.h"
#include "text/vocabulary.h"

namespace lockstep::text {

/// Everything that defines a tokenizer, in the structure of a tokenizer.json. Other vocabulary files are converted to
/// it.
struct TokenizerDefinition {
  Json normalizer, pre_tokenizer, post_processor, decoder;  // null if there is none
  Json model_options = Json::object();                      // "model" without its vocabulary and merges
  Vocabulary vocabulary;                                    // for BPE, WordPiece, WordLevel
  BpeModel::Merges merges;
  UnigramModel::Pieces pieces;  // for Unigram
  std::vector<AddedToken> added_tokens;
  std::optional<std::string> padding_token;  // of the "padding" in tokenizer.json
  /// Present for T5's own file: ids are those of the sentencepiece library even where transformers reads the file
  /// differently (combining marks, blanks other than the space, equally likely segmentations, its options).
  std::optional<SentencePieceRules> sentencepiece_rules;
  std::vector<TokenId> hidden_pieces;  // for Unigram: the pieces that no text becomes, sorted

  const std::string& model_type() const { return model_options.at("type").get_ref<const std::string&>(); }
  /// Returns the id of a token in the vocabulary or among the added tokens.
  std::optional<TokenId> find(std::string_view token) const;
};

/// Creates the model. Moves the vocabulary out of `definition`. Throws InputError naming an unknown model type.
std::unique_ptr<const TokenModel> make_model(TokenizerDefinition& definition);

}  // namespace lockstep::text
