#include "lockstep/data/tokenized_dataset.h"

#include <utility>

namespace lockstep {

InMemoryTokenizedDataset::InMemoryTokenizedDataset(std::vector<Example> examples, bool has_encoder,
                                                   std::string tokenizer_digest, std::optional<ExampleOrigin> origin)
    : examples_(std::move(examples)),
      has_encoder_(has_encoder),
      tokenizer_digest_(std::move(tokenizer_digest)),
      origin_(std::move(origin)) {}

std::uint64_t InMemoryTokenizedDataset::size() const { return examples_.size(); }

bool InMemoryTokenizedDataset::has_encoder() const { return has_encoder_; }

std::uint32_t InMemoryTokenizedDataset::input_length(std::uint64_t index) const {
  return static_cast<std::uint32_t>(examples_.at(index).input.size());
}

std::uint32_t InMemoryTokenizedDataset::target_length(std::uint64_t index) const {
  return static_cast<std::uint32_t>(examples_.at(index).target.size());
}

Example InMemoryTokenizedDataset::read(std::uint64_t index) const { return examples_.at(index); }

const std::string& InMemoryTokenizedDataset::tokenizer_digest() const { return tokenizer_digest_; }

}  // namespace lockstep
