#include "lockstep/data/shards/verify_shards.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/core/error.h"
#include "lockstep/data/shards/shard_reader.h"

namespace lockstep::data {
namespace {

namespace fs = std::filesystem;

void check_ids(const std::vector<TokenId>& ids, std::uint64_t vocabulary_size, const fs::path& shard, std::uint64_t i) {
  const auto beyond = std::ranges::find_if(ids, [&](TokenId id) { return id >= vocabulary_size; });
  if (beyond == ids.end()) return;
  throw InputError(
      fmt::format("{}: example {}: expected ids below the vocabulary's size {}, found {}; run "
                  "lockstep-prep again",
                  shard.string(), i, vocabulary_size, *beyond));
}

// Reads one shard and adds its examples to `counted`.
void read_shard(const fs::path& folder, const Manifest& manifest, const ShardEntry& entry,
                TokenizationReport& counted) {
  Manifest alone = manifest;
  alone.shards = {entry};
  alone.report.examples = entry.examples;
  const auto dataset = PreparedDataset::open(folder, std::move(alone), VerifyShards::kYes);
  for (std::uint64_t i = 0; i < dataset->size(); ++i) {
    TokenizedRow row;
    row.result.example = dataset->read(i);
    check_ids(row.result.example.input, manifest.vocabulary_size, folder / entry.name, i);
    check_ids(row.result.example.target, manifest.vocabulary_size, folder / entry.name, i);
    counted.add(row);
  }
}

}  // namespace

std::vector<std::string> find_damage(const fs::path& folder, const Manifest& manifest) {
  std::vector<std::string> problems;
  TokenizationReport counted;
  for (const ShardEntry& entry : manifest.shards) {
    try {
      read_shard(folder, manifest, entry, counted);
    } catch (const Error& problem) {
      problems.emplace_back(problem.what());
    }
  }
  if (!problems.empty()) return problems;  // counts would only report the same problem again
  const TokenizationReport& stated = manifest.report;
  const auto compare = [&](const char* what, std::uint64_t expected, std::uint64_t found) {
    if (expected == found) return;
    problems.push_back(fmt::format("{}: {}: expected {} as the shards hold, found {}; run lockstep-prep again",
                                   (folder / Manifest::kFileName).string(), what, found, expected));
  };
  compare("examples", stated.examples, counted.examples);
  compare("input_tokens", stated.input_tokens, counted.input_tokens);
  compare("target_tokens", stated.target_tokens, counted.target_tokens);
  if (problems.empty() &&
      (stated.input_lengths != counted.input_lengths || stated.target_lengths != counted.target_lengths ||
       stated.total_lengths != counted.total_lengths)) {
    problems.push_back(
        fmt::format("{}: length_histogram: expected the lengths that the shards hold, found others; run "
                    "lockstep-prep again",
                    (folder / Manifest::kFileName).string()));
  }
  return problems;
}

}  // namespace lockstep::data
