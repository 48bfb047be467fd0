#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "lockstep/text/tokenizer.h"
#include "text/added_tokens.h"
#include "text/components/normalizer.h"
#include "text/components/pre_tokenizer.h"
#include "text/components/sentencepiece_normalizer.h"
#include "text/components/token_decoder.h"
#include "text/models/token_model.h"

namespace lockstep::text {

/// Encodes in the steps of Hugging Face tokenizers: finds added tokens, normalizes the rest, splits it into words, and
/// passes these to the model.
class PipelineTokenizer final : public Tokenizer {
 public:
  struct Components {
    AddedTokens added_tokens;
    bool splits_special_tokens = false;            // special tokens are text like any other
    std::unique_ptr<const Normalizer> normalizer;  // may be null
    std::optional<BlankMarker> blank_marker;       // runs after the normalizer, between the added tokens
    PreTokenizers pre_tokenizers;
    std::unique_ptr<const TokenModel> model;
    std::unique_ptr<const TokenDecoder> decoder;  // may be null: tokens are joined by blanks
  };
  using Settings = Tokenizer::Settings;
  PipelineTokenizer(Settings settings, Components components);

  using Tokenizer::encode;
  void encode(std::string_view text, std::vector<TokenId>& ids) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const override;
  std::string token(TokenId id) const override;
  std::size_t vocabulary_size() const override { return components_.model->size(); }

 private:
  struct Workspace;
  Workspace& workspace() const;
  void encode_range(std::string_view text, std::size_t origin_end, Workspace& work, std::vector<TokenId>& ids) const;
  void encode_piece(std::string_view piece, Workspace& work, std::vector<TokenId>& ids) const;
  void encode_word(std::string_view word, Workspace& work, std::vector<TokenId>& ids) const;

  static inline std::atomic<std::uint64_t> created{0};

  Components components_;
  AddedTokenFinder raw_, normalized_;
  std::uint64_t number_;  // unique, and never reused, unlike an address
};

}  // namespace lockstep::text
