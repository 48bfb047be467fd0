#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "lockstep/data/shards/manifest.h"

namespace lockstep::data {

/// One finished shard of a set that is still being written: `shard-00003.h5`, and beside it, written after it,
/// `shard-00003.json` with its checksum and its part of the report. A shard without the second is not finished.
struct ShardPart {
  ShardEntry entry;  // without name
  TokenizationReport report;

  /// The file of shard `number` until the set is finished.
  static std::filesystem::path shard_path(const std::filesystem::path& folder, std::uint64_t number);
  static std::filesystem::path record_path(const std::filesystem::path& folder, std::uint64_t number);

  /// Writes both files. Throws Error naming the file that cannot be written.
  static ShardPart write(const std::filesystem::path& folder, std::uint64_t number, const std::string& image,
                         const TokenizationReport& report);
  /// None if the shard is not finished, or its record or its bytes are damaged: then it has to be written again.
  static std::optional<ShardPart> find(const std::filesystem::path& folder, std::uint64_t number);
};

}  // namespace lockstep::data
