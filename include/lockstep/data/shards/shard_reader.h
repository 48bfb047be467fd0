#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/data/shards/manifest.h"
#include "lockstep/data/tokenized_dataset.h"

namespace lockstep::data {

enum class VerifyShards { yes, no };

/// A folder written by ShardWriter. Lengths of all examples are held in memory; the ids of a shard are read when first
/// one of its examples is, and then kept. Files are opened for reading only, without HDF5's file locking.
class PreparedDataset final : public TokenizedDataset {
 public:
  /// Throws InputError for a folder without manifest, another format version, a shard that is missing, of another size
  /// or inconsistent, and, with VerifyShards::yes, for one whose sha256 differs from the manifest's.
  static std::unique_ptr<PreparedDataset> open(const std::filesystem::path& folder, VerifyShards verify);
  /// The same with a manifest at hand, of which only some shards may be left, instead of the folder's.
  static std::unique_ptr<PreparedDataset> open(const std::filesystem::path& folder, Manifest manifest,
                                               VerifyShards verify);
  ~PreparedDataset() override;

  const Manifest& manifest() const;

  std::uint64_t size() const override;
  bool has_encoder() const override;
  std::uint32_t input_length(std::uint64_t index) const override;
  std::uint32_t target_length(std::uint64_t index) const override;
  Example read(std::uint64_t index) const override;
  const std::string& tokenizer_digest() const override;
  std::string content_digest() const override;
  std::optional<ExampleOrigin> origin() const override;

 private:
  class Shard;
  explicit PreparedDataset(Manifest manifest);
  /// The shard of an example, and the example's index within it. Throws Error beyond the end.
  std::pair<const Shard&, std::uint64_t> locate(std::uint64_t index) const;

  Manifest manifest_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::uint64_t> first_examples_;  // of each shard
  std::uint64_t size_ = 0;
};

}  // namespace lockstep::data
