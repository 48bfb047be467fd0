#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/data/dataset.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::data {

/// One tokenized row.
/// Encoder-decoder: `input` = ids(model_input) + EOS is the encoder's source, `target` = ids(model_output) + EOS.
/// Decoder-only: the sequence is `input` followed by `target`: `input` = [BOS] + ids(model_input),
/// `target` = ids(model_output) + EOS. The loss covers `target` alone.
struct Example {
  std::vector<TokenId> input;
  std::vector<TokenId> target;

  bool operator==(const Example&) const = default;
};

/// Tokenizes rows and cuts them to length.
class ExampleBuilder {
 public:
  struct Result {
    Example example;
    bool input_truncated = false;
    bool target_truncated = false;
    bool empty_output = false;  // model_output has no tokens: the target is EOS alone
  };

  /// `max_length` in tokens: encoder-decoder, of `input` and `target` each, both keep their first tokens and end
  /// in EOS; decoder-only, of both together: the input loses tokens from its left end (BOS stays), never the
  /// answer, unless the answer alone is too long: then it keeps its first `max_length` tokens, without EOS, since
  /// a model must not learn to stop in the middle of an answer (BOS, where there is one, takes one place of it). An
  /// answer that fills the limit leaves no input: then its first token has nothing to be predicted from.
  /// Throws InputError if the tokenizer has no EOS, or for a limit below 2.
  ExampleBuilder(std::shared_ptr<const Tokenizer> tokenizer, bool has_encoder, std::optional<std::size_t> max_length);

  /// Throws InputError for text that is not UTF-8.
  Result build(const Row& row) const;

  bool has_encoder() const { return has_encoder_; }
  const std::optional<std::size_t>& max_length() const { return max_length_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool has_encoder_;
  std::optional<std::size_t> max_length_;
};

/// Throws InputError, naming the token and `position` (where the row stands, e.g. "train.jsonl: line 12"), if the
/// example has an id beyond the model's embedding of `vocabulary_size` rows.
void check_token_ids(const Example& example, std::uint64_t vocabulary_size, const Tokenizer& tokenizer,
                     const std::string& position);

}  // namespace lockstep::data

namespace lockstep {
using data::ExampleBuilder;
}  // namespace lockstep
