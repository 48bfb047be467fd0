#include "lockstep/data/tokenized_dataset.h"

#include <array>
#include <string_view>
#include <utility>

#include "lockstep/core/digest.h"

namespace lockstep::data {
namespace {

template <class Numbers>
std::string_view bytes_of(const Numbers& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(typename Numbers::value_type)};
}

}  // namespace

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

std::string InMemoryTokenizedDataset::content_digest() const {
  core::Sha256 digest;
  for (const Example& example : examples_) {
    const std::array<std::uint64_t, 2> lengths = {example.input.size(), example.target.size()};
    digest.update(bytes_of(lengths));
    digest.update(bytes_of(example.input));
    digest.update(bytes_of(example.target));
  }
  return digest.hex_digest();
}

}  // namespace lockstep::data
