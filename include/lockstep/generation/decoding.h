#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "lockstep/models/model.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep {

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
/// Prompts of decoder-only models that leave no room within the learned positions are cut from the left, and
/// `max_new_tokens` is clamped, with one warning each. `on_progress(rows_done)` is called after each batch.
/// Throws InputError for a prompt without tokens on a decoder-only model.
std::vector<Generated> generate_ids(LanguageModel& model, const Tokenizer& tokenizer,
                                    const std::vector<std::vector<TokenId>>& prompts, const GenerationOptions& options,
                                    const std::function<void(std::size_t)>& on_progress = {});

/// The prompt of a row as training saw it: ids(text) + EOS for encoder-decoder models, [BOS] + ids(text) otherwise.
std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, bool has_encoder, const std::string& text);

/// Text in, text out: encode_prompt, generate_ids, decode without special tokens.
std::vector<std::string> generate(LanguageModel& model, const Tokenizer& tokenizer,
                                  const std::vector<std::string>& prompts, const GenerationOptions& options = {});

}  // namespace lockstep
