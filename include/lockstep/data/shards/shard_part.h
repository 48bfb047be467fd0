#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "lockstep/data/shards/manifest.h"

namespace lockstep::data {

/// One finished shard of a set that is still being written: `shard-00003.h5`, and next to it a record
/// `shard-00003.json` with its checksum and its part of the report. The record is written after the shard; a shard
/// without a record is not finished.
struct ShardPart {
  ShardEntry entry;  // the name is left empty
  TokenizationReport report;

  /// Returns the file name that shard `number` has until the set is finished.
  static std::filesystem::path shard_path(const std::filesystem::path& folder, std::uint64_t number);
  static std::filesystem::path record_path(const std::filesystem::path& folder, std::uint64_t number);

  /// Writes the shard and its record. Throws Error naming the file that cannot be written.
  static ShardPart write(const std::filesystem::path& folder, std::uint64_t number, const std::string& image,
                         const TokenizationReport& report);
  /// Returns the shard, or nullopt if it has to be written again because it is not finished or its record or its bytes
  /// are damaged.
  static std::optional<ShardPart> find(const std::filesystem::path& folder, std::uint64_t number);
};

}  // namespace lockstep::data
