#include "lockstep/data/example.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/core/error.h"

namespace lockstep::data {

ExampleBuilder::ExampleBuilder(std::shared_ptr<const Tokenizer> tokenizer, bool has_encoder,
                               std::optional<std::size_t> max_length)
    : tokenizer_(std::move(tokenizer)), has_encoder_(has_encoder), max_length_(max_length) {
  if (!tokenizer_->eos_id()) {
    throw InputError(
        "the tokenizer defines no EOS token, so a model could never learn to stop; set \"eos_token\" in "
        "tokenizer_config.json");
  }
  if (max_length_ && *max_length_ < 2) {
    throw InputError(
        fmt::format("model_max_length: expected at least 2, found {}; an example needs a token and EOS", *max_length_));
  }
}

ExampleBuilder::Result ExampleBuilder::build(const Row& row) const {
  Result result;
  auto& [input, target] = result.example;
  const TokenId eos = *tokenizer_->eos_id();
  const auto keep_first = [](std::vector<TokenId>& ids, std::size_t count) {
    if (ids.size() <= count) return false;
    ids.resize(count);
    return true;
  };

  tokenizer_->encode(row.model_output, target);
  result.empty_output = target.empty();
  if (has_encoder_) {
    tokenizer_->encode(row.model_input, input);
    if (max_length_) {
      result.input_truncated = keep_first(input, *max_length_ - 1);
      result.target_truncated = keep_first(target, *max_length_ - 1);
    }
    input.push_back(eos);
    target.push_back(eos);
    return result;
  }

  if (tokenizer_->adds_bos() && tokenizer_->bos_id()) input.push_back(*tokenizer_->bos_id());
  const std::size_t bos = input.size();
  tokenizer_->encode(row.model_input, input);
  target.push_back(eos);
  if (max_length_) {
    result.target_truncated = keep_first(target, *max_length_ - bos);
    const std::size_t room = *max_length_ - target.size();
    if (input.size() > room) {
      result.input_truncated = true;
      const auto first_text = input.begin() + static_cast<std::ptrdiff_t>(bos);
      input.erase(first_text, first_text + static_cast<std::ptrdiff_t>(input.size() - room));
    }
  }
  return result;
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
