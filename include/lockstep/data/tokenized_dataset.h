#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/data/example.h"
#include "lockstep/data/tokenization_report.h"

namespace lockstep::data {

/// What examples were made from.
struct ExampleOrigin {
  std::vector<std::string> datasets;  // Dataset::name() of each
  TokenizationReport report;          // what became of their rows
};

/// Tokenized examples with random access, in memory or in shards. All functions may be called from several
/// threads at once.
class TokenizedDataset {
 public:
  virtual ~TokenizedDataset() = default;
  virtual std::uint64_t size() const = 0;
  virtual bool has_encoder() const = 0;
  /// In tokens, known without reading the example.
  virtual std::uint32_t input_length(std::uint64_t index) const = 0;
  virtual std::uint32_t target_length(std::uint64_t index) const = 0;
  virtual Example read(std::uint64_t index) const = 0;
  /// The digest of the tokenizer that made the ids.
  virtual const std::string& tokenizer_digest() const = 0;
  /// Alike for datasets of the same examples in the same order in the same form; told apart by what they hold, or, in
  /// shards, by what their manifest says.
  virtual std::string content_digest() const = 0;
  /// The example's place in the set that was made of the rows, from which this one may be chosen.
  virtual std::uint64_t place_in_set(std::uint64_t index) const { return index; }
  /// None: unknown.
  virtual std::optional<ExampleOrigin> origin() const { return std::nullopt; }
};

/// Examples held in memory.
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
