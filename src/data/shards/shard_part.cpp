#include "lockstep/data/shards/shard_part.h"

#include <fmt/format.h>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/digest.h"

namespace lockstep::data {

namespace fs = std::filesystem;

fs::path ShardPart::shard_path(const fs::path& folder, std::uint64_t number) {
  return folder / fmt::format("shard-{:05}.h5", number);
}

fs::path ShardPart::record_path(const fs::path& folder, std::uint64_t number) {
  return folder / fmt::format("shard-{:05}.json", number);
}

ShardPart ShardPart::write(const fs::path& folder, std::uint64_t number, const std::string& image,
                           const TokenizationReport& report) {
  ShardPart part{{"", core::sha256(image), image.size(), report.examples}, report};
  core::write_file(shard_path(folder, number), image);
  Json record{{"sha256", part.entry.sha256}, {"bytes", part.entry.bytes}};
  report.write(record);
  core::write_json_file(record_path(folder, number), record);
  return part;
}

std::optional<ShardPart> ShardPart::find(const fs::path& folder, std::uint64_t number) {
  const fs::path shard = shard_path(folder, number);
  const fs::path record = record_path(folder, number);
  std::error_code error;
  if (!fs::exists(record, error) || !fs::exists(shard, error)) return std::nullopt;
  try {
    const Json json = core::read_json_file(record);
    ShardPart part{{"", json.at("sha256"), core::json_count(json.at("bytes")), 0}, TokenizationReport::read_from(json)};
    part.entry.examples = part.report.examples;
    if (fs::file_size(shard) != part.entry.bytes || core::sha256_file(shard) != part.entry.sha256) return std::nullopt;
    return part;
  } catch (const std::exception&) {  // whatever is wrong, the shard is written again
    return std::nullopt;
  }
}

}  // namespace lockstep::data
