#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lockstep/core/json.h"
#include "text/added_tokens.h"
#include "text/models/bpe_model.h"
#include "text/models/token_model.h"
#include "text/models/unigram_model.h"
#include "text/vocabulary.h"

namespace lockstep::text {

/// All that makes a tokenizer, as a tokenizer.json tells it; the other vocabulary files are brought into this form.
struct TokenizerDefinition {
  Json normalizer, pre_tokenizer, post_processor, decoder;  // null: none
  Json model_options = Json::object();                      // "model" without its vocabulary and merges
  Vocabulary vocabulary;                                    // of BPE, WordPiece, WordLevel
  BpeModel::Merges merges;
  UnigramModel::Pieces pieces;  // of Unigram
  std::vector<AddedToken> added_tokens;
  /// T5's own file: ids as the sentencepiece library gives them, also where transformers reads the file otherwise
  /// (combining marks, blanks other than the space, equally likely segmentations).
  bool as_sentencepiece = false;

  const std::string& model_type() const { return model_options.at("type").get_ref<const std::string&>(); }
  /// The id of a token of the vocabulary or an added one.
  std::optional<TokenId> find(std::string_view token) const;
};

/// Takes vocabulary, merges and pieces out of `definition`. Throws InputError naming a model that is not known.
std::unique_ptr<const TokenModel> make_model(TokenizerDefinition& definition);

}  // namespace lockstep::text
