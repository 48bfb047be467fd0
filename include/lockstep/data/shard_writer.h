#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "lockstep/data/manifest.h"
#include "lockstep/data/tokenize_datasets.h"

namespace lockstep {

struct ShardOptions {
  std::uint64_t shard_bytes = 64 << 20;  // of ids, before compression; a shard holds one example at least
  int compression = 0;                   // deflate level, 0 (none) to 9
};

/// Writes examples into a folder as HDF5 shards, `shard-00000-of-00008.h5`, and at the end `manifest.json`.
///
/// Encoder-decoder shards hold the groups `source` and `target`, each with `ids` and `offsets`; decoder-only shards
/// hold `sequence` (`ids`, `offsets`) and `target_start`. `offsets` are uint64, one more than the examples;
/// `target_start` (uint32) is the index within the sequence at which the target starts. Arrays are chunked and carry
/// Fletcher32 checksums. Shards are composed in memory, so that the bytes depend on the examples alone and a full disk
/// is an ordinary error.
class ShardWriter final : public ExampleSink {
 public:
  /// `description` says what the shards are made from (all but report and shards). Throws InputError if `folder`
  /// already holds files.
  ShardWriter(std::filesystem::path folder, Manifest description, ShardOptions options = {});

  /// Throws Error, naming the file, if a shard cannot be written.
  void add(ExampleBuilder::Result result) override;

  /// Writes what is left, gives the shards their names and writes the manifest. Call once.
  Manifest finish(const TokenizationReport& report);

 private:
  struct Block {  // the examples of one array: ids one after another
    std::vector<TokenId> ids;
    std::vector<std::uint64_t> offsets{0};

    void append(const std::vector<TokenId>& more);
    void close_example() { offsets.push_back(ids.size()); }
  };
  void write_shard();
  std::string compose_image() const;
  std::filesystem::path partial_path(std::size_t shard) const;

  std::filesystem::path folder_;
  Manifest manifest_;
  ShardOptions options_;
  Block first_;   // source, or the sequence
  Block second_;  // target; unused for decoder-only
  std::vector<std::uint32_t> target_starts_;
  TokenizationReport shard_report_;  // of the shard being filled
};

}  // namespace lockstep
