#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "data/shards/hdf5_file.h"
#include "lockstep/data/shards/manifest.h"

namespace lockstep::data {

/// Concatenated ids, at the width at which a shard stores them.
class IdColumn {
 public:
  explicit IdColumn(std::size_t id_bytes);

  void append(const std::vector<TokenId>& ids);
  void close_example() { offsets_.push_back(size_); }
  /// Writes `group`/ids and `group`/offsets.
  void write(hdf5::ImageFile& file, const std::string& group, int compression) const;

 private:
  std::variant<std::vector<std::uint16_t>, std::vector<std::uint32_t>> ids_;
  std::uint64_t size_ = 0;
  std::vector<std::uint64_t> offsets_{0};
};

/// The examples of a shard that is being filled.
class ShardBuffer {
 public:
  /// `description` states what the shard is made from (everything but the report and the shards). It must outlive the
  /// buffer.
  explicit ShardBuffer(const Manifest& description);

  void add(const Example& example);
  /// Returns the bytes of the HDF5 file. `report` holds the counts of its examples; `name` is used in error messages.
  std::string compose(const std::string& name, const TokenizationReport& report, int compression) const;

 private:
  const Manifest* description_;
  IdColumn first_;   // sources (encoder-decoder) or sequences (decoder-only)
  IdColumn second_;  // targets; unused for decoder-only
  std::vector<std::uint32_t> target_starts_;
};

}  // namespace lockstep::data
