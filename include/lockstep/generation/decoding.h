#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "lockstep/models/model.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::generation {

struct GenerationOptions {
  std::size_t max_new_tokens = 256;
  std::size_t batch_size = 10;
};

/// A generated continuation.
struct Generated {
  std::vector<TokenId> ids;  // new tokens alone, EOS included if it came
  bool stopped = false;      // EOS came before max_new_tokens
};

/// Continues each prompt greedily until EOS or `max_new_tokens`; equals transformers.generate(do_sample=False).
/// Where a decoder-only model has learned positions, prompt and answer share them: an answer ends with the last
/// position, and a prompt that leaves less than a quarter of them (or `max_new_tokens`, if that is less) is cut from
/// the left, BOS kept; one warning each. `on_progress(rows_done)` is called after each token of a batch, and ends
/// the work by what it throws. Throws InputError for a prompt without tokens on a decoder-only model.
std::vector<Generated> generate_ids(LanguageModel& model, const Tokenizer& tokenizer,
                                    const std::vector<std::vector<TokenId>>& prompts, const GenerationOptions& options,
                                    const std::function<void(std::size_t)>& on_progress = {});

/// The prompt of a row as training saw it: ids(text) + EOS for encoder-decoder models, [BOS] + ids(text) otherwise.
std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, bool has_encoder, const std::string& text);

/// Text in, text out: encode_prompt, generate_ids, decode without special tokens.
std::vector<std::string> generate(LanguageModel& model, const Tokenizer& tokenizer,
                                  const std::vector<std::string>& prompts, const GenerationOptions& options = {});

}  // namespace lockstep::generation

namespace lockstep {
using generation::GenerationOptions;
}  // namespace lockstep
