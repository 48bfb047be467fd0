#pragma once

#include <optional>

#include "text/added_tokens.h"
#include "text/components/post_processor.h"
#include "text/formats/tokenizer_class.h"
#include "text/formats/tokenizer_settings.h"
#include "text/models/token_model.h"

namespace lockstep::text {

struct SpecialTokens {
  std::optional<TokenId> bos, eos, pad;
  bool frames_with_bos = false, frames_with_eos = false;  // the post-processor adds them
};

/// Determines the special tokens of a folder: those that its settings name, else those of its class, else those that
/// the post-processor adds to a text, whose BOS takes precedence. Makes all of them added tokens; one that the
/// vocabulary lacks gets the next free id, as in transformers.
SpecialTokens resolve_special_tokens(const TokenizerFolderSettings& settings, TokenizerClass tokenizer_class,
                                     const SpecialTokensAround& frame, const TokenModel& model,
                                     AddedTokens& added_tokens);

}  // namespace lockstep::text
