#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/data/dataset.h"
#include "lockstep/text/sequence_frame.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::data {

/// One tokenized row.
///
/// Encoder-decoder: `input` = ids(model_input) + EOS is the encoder's source, `target` = ids(model_output) + EOS.
///
/// Decoder-only: the sequence is `input` followed by `target`, with `input` = [BOS] + ids(model_input) and `target` =
/// ids(model_output) + EOS. The loss covers only `target`.
///
/// text::SequenceFrame says which further special tokens the tokenizer puts around both.
struct Example {
  std::vector<TokenId> input;
  std::vector<TokenId> target;

  bool operator==(const Example&) const = default;
};

/// Tokenizes rows and truncates them.
class ExampleBuilder {
 public:
  struct Result {
    Example example;
    bool input_truncated = false;
    bool target_truncated = false;
    bool doubled_bos = false;   // the text begins with the BOS that the tokenizer adds
    bool doubled_eos = false;   // a text ends with the EOS that every example gets
    bool empty_output = false;  // model_output has no tokens; the target is just EOS
  };

  /// `max_length` is in tokens.
  ///
  /// Encoder-decoder: it limits `input` and `target` separately. Both keep their first tokens and all special tokens
  /// around them.
  ///
  /// Decoder-only: it limits `input` and `target` together. The input is truncated from the left (the special tokens
  /// before it stay), so that the answer stays whole. An answer that is too long by itself keeps its first tokens,
  /// without EOS, since a model must not learn to stop in the middle of an answer. An answer that fills the limit
  /// leaves no input but the special tokens before it; without those, its first token has nothing to be predicted from.
  ///
  /// Throws InputError if the tokenizer has no EOS, or if `max_length` leaves no room for a token of the text.
  ExampleBuilder(std::shared_ptr<const Tokenizer> tokenizer, bool has_encoder, std::optional<std::size_t> max_length);

  /// Tokenizes one row. Throws InputError for text that is not UTF-8.
  Result build(const Row& row) const;

  bool has_encoder() const { return has_encoder_; }
  const std::optional<std::size_t>& max_length() const { return max_length_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  text::SequenceFrame frame_;
  bool has_encoder_;
  std::optional<std::size_t> max_length_;
};

/// Returns true if the ids begin with the tokenizer's BOS twice.
bool begins_with_two_bos(const std::vector<TokenId>& ids, const Tokenizer& tokenizer);
/// Returns true if the ids end with the tokenizer's EOS twice.
bool ends_with_two_eos(const std::vector<TokenId>& ids, const Tokenizer& tokenizer);

/// Throws InputError if the example has an id beyond the model's embedding of `vocabulary_size` rows. The message names
/// the token and `position`, the location of the row, e.g. "train.jsonl: line 12".
void check_token_ids(const Example& example, std::uint64_t vocabulary_size, const Tokenizer& tokenizer,
                     const std::string& position);

}  // namespace lockstep::data

namespace lockstep {
using data::ExampleBuilder;
}  // namespace lockstep
