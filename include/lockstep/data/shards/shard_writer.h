#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "lockstep/core/worker_pool.h"
#include "lockstep/data/shards/manifest.h"
#include "lockstep/data/shards/shard_part.h"
#include "lockstep/data/tokenize_datasets.h"
#include "lockstep/data/work_share.h"

namespace lockstep::data {

class ShardBuffer;

struct ShardOptions {
  int compression = 0;   // deflate level, 0 (none) to 9
  WorkShare share = {};  // the shards that this process writes
};

/// Writes examples into a folder as HDF5 shards, `shard-00000-of-00008.h5`, and at the end `manifest.json`.
///
/// Encoder-decoder shards hold the groups `source` and `target`, each with `ids` and `offsets`; decoder-only shards
/// hold `sequence` (`ids`, `offsets`) and `target_start`. `offsets` are uint64, one more than the examples;
/// `target_start` (uint32) is the index within the sequence at which the target starts. Arrays are chunked and carry
/// Fletcher32 checksums. Shards are composed in memory, so that the bytes depend on the examples alone and a full disk
/// is an ordinary error.
///
/// A finished shard is composed by a thread of the pool, and written while others are; memory holds three at most. A
/// writer on a folder that a killed one has left, for the same description, wants the missing and the damaged shards
/// alone. Several processes may fill one folder, each with its share.
class ShardWriter final : public ExampleSink {
 public:
  /// `description` says what the shards are made from (all but report and shards).
  ShardWriter(std::filesystem::path folder, Manifest description, core::WorkerPool& pool, ShardOptions options = {});
  /// Waits for the shards that are being written.
  ~ShardWriter() override;

  bool wants(std::uint64_t shard) override;
  /// Throws Error, naming the file, if a shard cannot be written.
  void add(std::uint64_t shard, TokenizedRow row) override;

  /// Writes what is left. Call once.
  void flush();
  /// The number of shards that other processes have still to write, after flush().
  std::uint64_t find_missing();
  /// Shards that an earlier run had finished, among those of this process.
  std::uint64_t shards_found() const { return shards_found_; }

  /// The report over the shards of all processes, after a find_missing() that returned 0; `read` is what the datasets
  /// showed.
  TokenizationReport report(RowsRead read) const;
  /// Gives the shards of all processes their names and writes the manifest, after a find_missing() that returned 0.
  /// Removes whatever else lies in the folder.
  Manifest finish(const TokenizationReport& report);

  /// Completes what a finish() that was killed has begun. None if there was none, or it wrote something else than
  /// `description`, or a shard is damaged.
  static std::optional<Manifest> finish_interrupted(const std::filesystem::path& folder, const Manifest& description);

 private:
  class Output;
  void write_shard();

  std::filesystem::path folder_;
  Manifest manifest_;
  ShardOptions options_;
  std::vector<std::optional<ShardPart>> parts_;  // of all shards that a row was planned for
  bool wanted_ = false;                          // the last of them
  std::uint64_t shards_found_ = 0;
  std::unique_ptr<ShardBuffer> buffer_;  // of the shard being filled
  std::uint64_t shard_ = 0;
  TokenizationReport report_;
  std::unique_ptr<Output> output_;
};

}  // namespace lockstep::data
