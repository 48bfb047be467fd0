#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/data/example.h"
#include "lockstep/data/tokenization_report.h"

namespace lockstep::data {

/// The datasets that examples were made from.
struct ExampleOrigin {
  std::vector<std::string> datasets;  // Dataset::name() of each dataset
  TokenizationReport report;          // the outcome of tokenizing their rows
};

/// Tokenized examples with random access, in memory or in shards. All functions may be called from several threads at
/// the same time.
class TokenizedDataset {
 public:
  virtual ~TokenizedDataset() = default;
  virtual std::uint64_t size() const = 0;
  virtual bool has_encoder() const = 0;
  /// Returns the length in tokens, without reading the example.
  virtual std::uint32_t input_length(std::uint64_t index) const = 0;
  virtual std::uint32_t target_length(std::uint64_t index) const = 0;
  virtual Example read(std::uint64_t index) const = 0;
  /// Returns the digest of the tokenizer that produced the ids.
  virtual const std::string& tokenizer_digest() const = 0;
  /// Returns a digest that is equal for datasets of the same class that hold the same examples in the same order. It
  /// covers the examples, or, for shards, the digests of the shards in the manifest.
  virtual std::string content_digest() const = 0;
  /// Returns the example's index in the prepared set, of which this dataset may be a subset.
  virtual std::uint64_t place_in_set(std::uint64_t index) const { return index; }
  /// Returns what the examples were made from, or nullopt if that is unknown.
  virtual std::optional<ExampleOrigin> origin() const { return std::nullopt; }
};

/// A dataset that holds its examples in memory.
class InMemoryTokenizedDataset final : public TokenizedDataset {
 public:
  InMemoryTokenizedDataset(std::vector<Example> examples, bool has_encoder, std::string tokenizer_digest,
                           std::optional<ExampleOrigin> origin = std::nullopt);

  std::uint64_t size() const override;
  bool has_encoder() const override;
  std::uint32_t input_length(std::uint64_t index) const override;
  std::uint32_t target_length(std::uint64_t index) const override;
  Example read(std::uint64_t index) const override;
  const std::string& tokenizer_digest() const override;
  std::string content_digest() const override;
  std::optional<ExampleOrigin> origin() const override { return origin_; }

 private:
  std::vector<Example> examples_;
  bool has_encoder_;
  std::string tokenizer_digest_;
  std::optional<ExampleOrigin> origin_;
};

}  // namespace lockstep::data

namespace lockstep {
using data::TokenizedDataset;
}  // namespace lockstep
