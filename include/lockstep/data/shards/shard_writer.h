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
/// Fletcher32 checksums. Shards are composed in memory, so that their bytes depend only on the examples and a full disk
/// is an ordinary error.
///
/// A full shard is composed by a thread of the pool and written in the background while later shards are filled; the
/// number of shards in flight is bounded. If an earlier writer with the same description was killed, a new writer on
/// its folder wants only the missing and the damaged shards. Several processes may fill one folder, each with its own
/// share.
class ShardWriter final : public ExampleSink {
 public:
  /// `description` states what the shards are made from: everything but the report and the shards.
  ShardWriter(std::filesystem::path folder, Manifest description, core::WorkerPool& pool, ShardOptions options = {});
  /// Waits for the shards in flight.
  ~ShardWriter() override;

  bool wants(std::uint64_t shard) override;
  /// Throws Error, naming the file, if a shard cannot be written.
  void add(std::uint64_t shard, TokenizedRow row) override;

  /// Writes the last shard and waits for all writes. Must be called once, after the last add().
  void flush();
  /// Returns the number of shards that other processes have yet to write. Call after flush().
  std::uint64_t find_missing();
  /// Returns how many of this process's shards an earlier run had already finished.
  std::uint64_t shards_found() const { return shards_found_; }

  /// Returns the report over the shards of all processes. Requires that find_missing() returned 0. `read` is the
  /// caller's count of the rows read.
  TokenizationReport report(RowsRead read) const;
  /// Writes the manifest and gives the shards of all processes their final names. Removes everything else from the
  /// folder. Requires that find_missing() returned 0.
  Manifest finish(const TokenizationReport& report);

  /// Completes a finish() that was killed. Returns nullopt if there was none, if its manifest does not match
  /// `description`, or if a shard is damaged.
  static std::optional<Manifest> finish_interrupted(const std::filesystem::path& folder, const Manifest& description);

 private:
  class Output;
  void write_shard();

  std::filesystem::path folder_;
  Manifest manifest_;
  ShardOptions options_;
  std::vector<std::optional<ShardPart>> parts_;  // one for each shard planned so far
  bool wanted_ = false;                          // whether the last of parts_ is to be written here
  std::uint64_t shards_found_ = 0;
  std::unique_ptr<ShardBuffer> buffer_;  // the shard being filled
  std::uint64_t shard_ = 0;
  TokenizationReport report_;
  std::unique_ptr<Output> output_;
};

}  // namespace lockstep::data
