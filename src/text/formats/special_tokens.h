#pragma once

#include <optional>
#include <string_view>

#include "text/added_tokens.h"
#include "text/components/post_processor.h"
#include "text/formats/tokenizer_class.h"
#include "text/formats/tokenizer_settings.h"
#include "text/models/token_model.h"

namespace lockstep::text {

/// Returns the id that transformers gives to an added token: that of the same text among the added tokens or in the
/// vocabulary, else the next free one.
TokenId next_id_for(std::string_view content, const TokenModel& model, const AddedTokens& added_tokens);

struct SpecialTokens {
  std::optional<TokenId> bos, eos, sep, pad, cls;
};

/// Determines the special tokens of a folder: those that its settings name, else those of its class. Makes all of them
/// added tokens; one that the vocabulary lacks gets the next free id, as in transformers.
SpecialTokens resolve_special_tokens(const TokenizerFolderSettings& settings, TokenizerClass tokenizer_class,
                                     const TokenModel& model, AddedTokens& added_tokens);

/// Returns the special tokens that transformers' tokenizer adds around a text. `has_tokenizer_json` says whether the
/// folder has that file: transformers then ignores add_bos_token and add_eos_token of tokenizer_config.json.
SpecialTokensAround resolve_frame(const TokenizerFolderSettings& settings, TokenizerClass tokenizer_class,
                                  const SpecialTokens& special, const Json& post_processor, bool has_tokenizer_json);

/// Fills in the tokens that neither the settings nor the class name: BOS and EOS from the frame, EOS also from the
/// vocabulary, the padding token from the added tokens.
void infer_special_tokens(const SpecialTokensAround& frame, const TokenModel& model, const AddedTokens& added_tokens,
                          SpecialTokens& special);

}  // namespace lockstep::text
