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

/// One shard as listed in `manifest.json`.
struct ShardEntry {
  std::string name;
  std::string sha256;
  std::uint64_t bytes = 0;
  std::uint64_t examples = 0;

  bool operator==(const ShardEntry&) const = default;
};

/// A dataset that rows were read from.
struct SourceEntry {
  std::string path;    // Dataset::name()
  std::string sha256;  // of its file; of the files' digests if there are several
  std::uint64_t rows = 0;

  bool operator==(const SourceEntry&) const = default;
};

/// Describes the contents of a folder of shards and what they were made from. It is written once all shards are: a
/// folder without a manifest is not a dataset. The same data and settings give the same bytes.
struct Manifest {
  static constexpr int kFormatVersion = 1;
  static constexpr const char* kFileName = "manifest.json";

  std::string pretrained_model_name;
  bool has_encoder = false;
  std::optional<std::uint64_t> model_max_length;
  std::string tokenizer_sha256;
  std::uint64_t vocabulary_size = 0;  // rows of the model's embedding; every id is smaller
  RowFormat row_format;
  std::vector<SourceEntry> sources;
  RowSelection selection;
  TokenizationReport report;
  std::vector<ShardEntry> shards;

  /// Returns the bytes per id in a shard: 2 for a vocabulary below 65,536, else 4.
  std::size_t id_bytes() const { return vocabulary_size < 65536 ? 2 : 4; }

  /// Returns an empty string if `other` was made from the same rows of the same files with the same tokenizer,
  /// templates and limits, so that the two are interchangeable. Otherwise says what differs, e.g. "model_max_length 512
  /// instead of 128", where 512 is the value of `other`.
  std::string difference(const Manifest& other) const;
  /// Compares as difference() does, but ignores the rows, so that a job can be checked without reading its files.
  std::string difference_of_settings(const Manifest& other) const;

  Json to_json() const;

  /// Reads `folder`/manifest.json. Throws InputError if it is missing (the message names lockstep-prep as the remedy),
  /// has another format version, or is incomplete.
  static Manifest load(const std::filesystem::path& folder);

  bool operator==(const Manifest&) const = default;
};

}  // namespace lockstep::data
