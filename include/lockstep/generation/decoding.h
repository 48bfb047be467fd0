#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "lockstep/generation/strategy.h"
#include "lockstep/models/model.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::generation {

struct GenerationOptions {
  std::size_t max_new_tokens = 256;  // at least 1
  std::size_t batch_size = 10;       // at least 1
  Strategy strategy = {};
};

/// A generated continuation.
struct Generated {
  std::vector<TokenId> ids;  // new tokens only, including EOS if it was reached
  bool reached_eos = false;  // whether EOS came before max_new_tokens
};

/// Continues each prompt with the strategy of `options` until EOS or `max_new_tokens`. In a decoder-only model with
/// learned positions, prompt and answer share the positions: an answer ends at the last one, and a prompt that leaves
/// less than a quarter of them free (or `max_new_tokens`, if that is less) is truncated from the left, keeping BOS.
/// Both cases log one warning. `on_progress(rows_done)` is called after each token of a batch; an exception from it
/// ends the work. Throws InputError for a prompt without tokens, and for options out of range.
std::vector<Generated> generate_ids(LanguageModel& model, const Tokenizer& tokenizer,
                                    const std::vector<std::vector<TokenId>>& prompts, const GenerationOptions& options,
                                    const std::function<void(std::size_t)>& on_progress = {});

/// Returns the prompt of a row as in training: ids(text) with the special tokens of text::SequenceFrame around them.
std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, bool has_encoder, const std::string& text);

/// Generates text from text: encode_prompt(), generate_ids(), then decoding without special tokens.
std::vector<std::string> generate(LanguageModel& model, const Tokenizer& tokenizer,
                                  const std::vector<std::string>& prompts, const GenerationOptions& options = {});

}  // namespace lockstep::generation

namespace lockstep {
using generation::GenerationOptions;
}  // namespace lockstep
