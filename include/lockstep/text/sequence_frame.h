#pragma once

#include <vector>

#include "lockstep/text/tokenizer.h"

namespace lockstep::text {

/// The special tokens around the two texts of an example. Preparation, evaluation and generation all use them.
struct SequenceFrame {
  std::vector<TokenId> before_input, after_input;
  std::vector<TokenId> before_target, after_target;
};

/// Returns the special tokens around the texts of an example.
///
/// Encoder-decoder: both texts are framed as transformers' tokenizer frames a text. Both end in EOS even if the
/// tokenizer does not add it. EOS is never added before the target, because generation would stop there.
///
/// Decoder-only: the input and the target form one sequence. The tokens that transformers' tokenizer adds before a text
/// come before the input; those that it adds after a text come after the target and include EOS exactly once.
SequenceFrame sequence_frame(const Tokenizer& tokenizer, bool has_encoder);

/// Returns the ids of an input with the special tokens around it, without truncation: the source of an encoder-decoder
/// model, or the prompt of a decoder-only model.
std::vector<TokenId> encode_input(const Tokenizer& tokenizer, bool has_encoder, std::string_view text);

}  // namespace lockstep::text
