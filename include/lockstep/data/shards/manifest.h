#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/json.h"
#include "lockstep/data/row_format.h"
#include "lockstep/data/row_plan.h"
#include "lockstep/data/tokenization_report.h"

namespace lockstep::data {

/// One shard, as `manifest.json` names it.
struct ShardEntry {
  std::string name;
  std::string sha256;
  std::uint64_t bytes = 0;
  std::uint64_t examples = 0;

  bool operator==(const ShardEntry&) const = default;
};

/// A dataset that the rows came from.
struct SourceEntry {
  std::string path;    // Dataset::name()
  std::string sha256;  // of its file; of the digests of its files, if it has several
  std::uint64_t rows = 0;

  bool operator==(const SourceEntry&) const = default;
};

/// What a folder of shards holds and what made it. Written last: a folder without one is not a dataset. The same data
/// and settings give the same bytes.
struct Manifest {
  static constexpr int kFormatVersion = 1;
  static constexpr const char* kFileName = "manifest.json";

  std::string pretrained_model_name;
  bool has_encoder = false;
  std::optional<std::uint64_t> model_max_length;
  std::string tokenizer_sha256;
  std::uint64_t vocabulary_size = 0;  // rows of the model's embedding: every id is below
  RowFormat row_format;
  std::vector<SourceEntry> sources;
  RowSelection selection;
  TokenizationReport report;
  std::vector<ShardEntry> shards;

  /// The bytes that an id takes in a shard: 2 for a vocabulary below 65,536, else 4.
  std::size_t id_bytes() const { return vocabulary_size < 65536 ? 2 : 4; }

  /// Empty if `other` was made from the same rows of the same files with the same tokenizer, templates and limits, so
  /// that one can stand for the other; else what differs, e.g. "model_max_length 512 instead of 128" (`other`'s instead
  /// of this one's).
  std::string difference(const Manifest& other) const;
  /// The same without the rows: what a job must know without reading its files.
  std::string difference_of_settings(const Manifest& other) const;

  Json to_json() const;

  /// Reads `folder`/manifest.json. Throws InputError if it is missing (naming lockstep-prep as the remedy), of another
  /// format version, or incomplete.
  static Manifest load(const std::filesystem::path& folder);

  bool operator==(const Manifest&) const = default;
};

}  // namespace lockstep::data
