#include "lockstep/data/example.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/core/error.h"

namespace lockstep::data {

namespace {

void append(const std::vector<TokenId>& more, std::vector<TokenId>& ids) {
  ids.insert(ids.end(), more.begin(), more.end());
}

bool keep_first(std::vector<TokenId>& ids, std::size_t count) {
  if (ids.size() <= count) return false;
  ids.resize(count);
  return true;
}

// Appends the first tokens of `text` and the special tokens around them, at most `limit` in all. Returns true if tokens
// were cut off.
bool append_framed(const std::vector<TokenId>& before, std::vector<TokenId> text, const std::vector<TokenId>& after,
                   const std::optional<std::size_t>& limit, std::vector<TokenId>& ids) {
  const bool truncated = limit && keep_first(text, *limit - before.size() - after.size());
  ids.reserve(before.size() + text.size() + after.size());
  append(before, ids);
  append(text, ids);
  append(after, ids);
  return truncated;
}

}  // namespace

ExampleBuilder::ExampleBuilder(std::shared_ptr<const Tokenizer> tokenizer, bool has_encoder,
                               std::optional<std::size_t> max_length)
    : tokenizer_(std::move(tokenizer)),
      frame_(text::sequence_frame(*tokenizer_, has_encoder)),
      has_encoder_(has_encoder),
      max_length_(max_length) {
  if (!tokenizer_->eos_id()) {
    throw InputError(
        "the tokenizer defines no EOS token, so a model could never learn to stop; set \"eos_token\" in "
        "tokenizer_config.json");
  }
  const std::size_t input_frame = frame_.before_input.size() + frame_.after_input.size();
  const std::size_t target_frame = frame_.before_target.size() + frame_.after_target.size();
  // A decoder-only target that is too long loses its end and with it the special tokens after it.
  const std::size_t special =
      has_encoder ? std::max(input_frame, target_frame) : std::max<std::size_t>(frame_.before_input.size(), 1);
  if (max_length_ && *max_length_ < special + 1) {
    throw InputError(
        fmt::format("model_max_length: expected at least {}, found {}; an example needs a token of the text and {} of "
                    "the special tokens (such as EOS) around it",
                    special + 1, *max_length_, special));
  }
}

ExampleBuilder::Result ExampleBuilder::build(const Row& row) const {
  Result result;
  auto& [input, target] = result.example;
  std::vector<TokenId> output;
  tokenizer_->encode(row.model_output, output);
  result.empty_output = output.empty();
  if (has_encoder_) {
    std::vector<TokenId> source;
    tokenizer_->encode(row.model_input, source);
    result.input_truncated =
        append_framed(frame_.before_input, std::move(source), frame_.after_input, max_length_, input);
    result.target_truncated =
        append_framed(frame_.before_target, std::move(output), frame_.after_target, max_length_, target);
    result.doubled_bos = !frame_.before_input.empty() && begins_with_two_bos(input, *tokenizer_);
    result.doubled_eos = ends_with_two_eos(input, *tokenizer_) || ends_with_two_eos(target, *tokenizer_);
    return result;
  }

  append(frame_.before_input, input);
  const std::size_t before = input.size();
  tokenizer_->encode(row.model_input, input);
  target = std::move(output);
  append(frame_.after_target, target);
  if (max_length_) {
    result.target_truncated = keep_first(target, *max_length_ - before);
    const std::size_t room = *max_length_ - target.size();
    if (input.size() > room) {
      result.input_truncated = true;
      const auto first_text = input.begin() + static_cast<std::ptrdiff_t>(before);
      input.erase(first_text, first_text + static_cast<std::ptrdiff_t>(input.size() - room));
    }
  }
  result.doubled_bos = before > 0 && begins_with_two_bos(input, *tokenizer_);
  result.doubled_eos = ends_with_two_eos(target, *tokenizer_);
  return result;
}

bool begins_with_two_bos(const std::vector<TokenId>& ids, const Tokenizer& tokenizer) {
  return ids.size() > 1 && tokenizer.bos_id() && ids[0] == *tokenizer.bos_id() && ids[1] == ids[0];
}

bool ends_with_two_eos(const std::vector<TokenId>& ids, const Tokenizer& tokenizer) {
  return ids.size() > 1 && tokenizer.eos_id() && ids.back() == *tokenizer.eos_id() && ids[ids.size() - 2] == ids.back();
}

void check_token_ids(const Example& example, std::uint64_t vocabulary_size, const Tokenizer& tokenizer,
                     const std::string& position) {
  for (const auto* ids : {&example.input, &example.target}) {
    const auto beyond = std::ranges::find_if(*ids, [&](TokenId id) { return id >= vocabulary_size; });
    if (beyond == ids->end()) continue;
    throw InputError(
        fmt::format("{}: the token \"{}\" has the id {}, beyond the model's embedding of {} rows "
                    "(\"vocab_size\" in config.json); remove it from the row, or enlarge the embedding",
                    position, tokenizer.token(*beyond), *beyond, vocabulary_size));
  }
}

}  // namespace lockstep::data
