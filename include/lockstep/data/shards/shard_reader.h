#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/data/shards/manifest.h"
#include "lockstep/data/tokenized_dataset.h"

namespace lockstep::data {

enum class VerifyShards { kYes, kNo };

/// A dataset read from a folder that ShardWriter wrote. The lengths of all examples are held in memory. The ids of a
/// shard are read when the first of its examples is read, and are then kept in memory. Files are opened read-only,
/// without HDF5's file locking.
class PreparedDataset final : public TokenizedDataset {
 public:
  /// Opens `folder`. Throws InputError if the manifest is missing or has another format version, if a shard is missing,
  /// has another size or is inconsistent, and, with VerifyShards::kYes, if the sha256 of a shard differs from the
  /// manifest's.
  static std::unique_ptr<PreparedDataset> open(const std::filesystem::path& folder, VerifyShards verify);
  /// Opens `folder` with the given manifest instead of the folder's own; it may list only some of the shards.
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
  /// Returns the shard of an example and the example's index within it. Throws Error if `index` is beyond the end.
  std::pair<const Shard&, std::uint64_t> locate(std::uint64_t index) const;

  Manifest manifest_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::uint64_t> first_examples_;  // index of the first example of each shard
  std::uint64_t size_ = 0;
};

}  // namespace lockstep::data
