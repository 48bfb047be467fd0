#include "lockstep/data/shards/shard_reader.h"

#include <fmt/format.h>
#include <algorithm>
#include <mutex>
#include <span>
#include <variant>

#include "data/shards/hdf5_file.h"
#include "lockstep/core/digest.h"
#include "lockstep/core/error.h"
#include "lockstep/core/stop_flag.h"

namespace lockstep::data {
namespace {

void check_file(const std::filesystem::path& path, const ShardEntry& entry, VerifyShards verify) {
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  if (error) {
    throw InputError(
        fmt::format("{}: the manifest names this shard, but it cannot be found: {}; run lockstep-prep again",
                    path.string(), error.message()));
  }
  if (bytes != entry.bytes) {
    throw InputError(
        fmt::format("{}: expected {} bytes as in the manifest, found {}: the shard is truncated or changed; "
                    "run lockstep-prep again",
                    path.string(), entry.bytes, bytes));
  }
  if (verify == VerifyShards::kNo) return;
  core::check_stop_signal("the shards were being verified; run the same command again");
  if (const std::string digest = core::sha256_file(path); digest != entry.sha256) {
    throw InputError(
        fmt::format("{}: expected sha256 {} as in the manifest, found {}: the shard is damaged or changed; "
                    "run lockstep-prep again",
                    path.string(), entry.sha256, digest));
  }
}

// Ids at the width at which the shard stores them.
class IdArray {
 public:
  IdArray() = default;
  IdArray(const hdf5::InputFile& file, const std::string& path, std::size_t id_bytes) {
    if (id_bytes == 2) {
      ids_ = file.read_uint16(path);
    } else {
      ids_ = file.read_uint32(path);
    }
  }
  std::size_t size() const {
    return std::visit([](const auto& ids) { return ids.size(); }, ids_);
  }
  std::vector<TokenId> slice(std::uint64_t begin, std::uint64_t end) const {
    return std::visit(
        [&](const auto& ids) {
          const auto at = [&](std::uint64_t i) { return ids.begin() + static_cast<std::ptrdiff_t>(i); };
          return std::vector<TokenId>(at(begin), at(end));
        },
        ids_);
  }

 private:
  std::variant<std::vector<std::uint16_t>, std::vector<std::uint32_t>> ids_;
};

}  // namespace

class PreparedDataset::Shard {
 public:
  Shard(std::filesystem::path path, const Manifest& manifest, const ShardEntry& entry)
      : path_(std::move(path)), has_encoder_(manifest.has_encoder), id_bytes_(manifest.id_bytes()) {
    const hdf5::Lock lock;
    const hdf5::InputFile file(path_);
    first_offsets_ = read_offsets(file, has_encoder_ ? "source/offsets" : "sequence/offsets", entry.examples);
    if (has_encoder_) {
      target_offsets_ = read_offsets(file, "target/offsets", entry.examples);
    } else {
      target_starts_ = file.read_uint32("target_start");
      check_target_starts();
    }
  }

  std::uint32_t input_length(std::uint64_t i) const { return has_encoder_ ? first_length(i) : target_starts_[i]; }
  std::uint32_t target_length(std::uint64_t i) const {
    if (!has_encoder_) return first_length(i) - target_starts_[i];
    return static_cast<std::uint32_t>(target_offsets_[i + 1] - target_offsets_[i]);
  }

  Example read(std::uint64_t i) const {
    std::call_once(loaded_, [this] { load(); });
    if (has_encoder_) {
      return {first_ids_.slice(first_offsets_[i], first_offsets_[i + 1]),
              target_ids_.slice(target_offsets_[i], target_offsets_[i + 1])};
    }
    const std::uint64_t border = first_offsets_[i] + target_starts_[i];
    return {first_ids_.slice(first_offsets_[i], border), first_ids_.slice(border, first_offsets_[i + 1])};
  }

 private:
  std::uint32_t first_length(std::uint64_t i) const {
    return static_cast<std::uint32_t>(first_offsets_[i + 1] - first_offsets_[i]);
  }

  std::vector<std::uint64_t> read_offsets(const hdf5::InputFile& file, const std::string& array,
                                          std::uint64_t examples) const {
    auto offsets = file.read_uint64(array);
    if (offsets.size() != examples + 1 || offsets.front() != 0 || !std::ranges::is_sorted(offsets)) {
      fail(array, fmt::format("{} ascending offsets from 0", examples + 1), fmt::format("{} others", offsets.size()));
    }
    return offsets;
  }

  void check_target_starts() const {
    if (target_starts_.size() + 1 != first_offsets_.size()) {
      fail("target_start", fmt::format("{} entries", first_offsets_.size() - 1), fmt::to_string(target_starts_.size()));
    }
    for (std::uint64_t i = 0; i < target_starts_.size(); ++i) {
      if (target_starts_[i] > first_length(i)) {
        fail("target_start", fmt::format("at most {} for example {}", first_length(i), i),
             fmt::to_string(target_starts_[i]));
      }
    }
  }

  void load() const {
    const hdf5::Lock lock;
    const hdf5::InputFile file(path_);
    first_ids_ = read_ids(file, has_encoder_ ? "source/ids" : "sequence/ids", first_offsets_.back());
    if (has_encoder_) target_ids_ = read_ids(file, "target/ids", target_offsets_.back());
  }

  IdArray read_ids(const hdf5::InputFile& file, const std::string& array, std::uint64_t count) const {
    IdArray ids(file, array, id_bytes_);
    if (ids.size() != count) fail(array, fmt::format("{} ids", count), fmt::to_string(ids.size()));
    return ids;
  }

  [[noreturn]] void fail(std::string_view array, std::string_view expected, std::string_view found) const {
    throw InputError(
        fmt::format("{}: {}: expected {}, found {}; run lockstep-prep again", path_.string(), array, expected, found));
  }

  std::filesystem::path path_;
  bool has_encoder_;
  std::size_t id_bytes_;
  std::vector<std::uint64_t> first_offsets_;   // sources (encoder-decoder) or sequences (decoder-only)
  std::vector<std::uint64_t> target_offsets_;  // encoder-decoder
  std::vector<std::uint32_t> target_starts_;   // decoder-only
  mutable std::once_flag loaded_;
  mutable IdArray first_ids_;
  mutable IdArray target_ids_;
};

PreparedDataset::PreparedDataset(Manifest manifest) : manifest_(std::move(manifest)) {}
PreparedDataset::~PreparedDataset() = default;

std::unique_ptr<PreparedDataset> PreparedDataset::open(const std::filesystem::path& folder, VerifyShards verify) {
  return open(folder, Manifest::load(folder), verify);
}

std::unique_ptr<PreparedDataset> PreparedDataset::open(const std::filesystem::path& folder, Manifest stated,
                                                       VerifyShards verify) {
  std::unique_ptr<PreparedDataset> dataset(new PreparedDataset(std::move(stated)));
  const Manifest& manifest = dataset->manifest_;
  for (const ShardEntry& entry : manifest.shards) {
    if (std::filesystem::path(entry.name).filename() != entry.name) {
      throw InputError(
          fmt::format("{}: expected shards next to the manifest, found the name \"{}\"; run lockstep-prep again",
                      (folder / Manifest::kFileName).string(), entry.name));
    }
    const auto path = folder / entry.name;
    check_file(path, entry, verify);
    dataset->shards_.push_back(std::make_unique<Shard>(path, manifest, entry));
    dataset->first_examples_.push_back(dataset->size_);
    dataset->size_ += entry.examples;
  }
  if (dataset->size_ != manifest.report.examples) {
    throw InputError(fmt::format("{}: expected {} examples in all shards, found {}; run lockstep-prep again",
                                 (folder / Manifest::kFileName).string(), manifest.report.examples, dataset->size_));
  }
  return dataset;
}

std::pair<const PreparedDataset::Shard&, std::uint64_t> PreparedDataset::locate(std::uint64_t index) const {
  if (index >= size_) throw Error(fmt::format("example {} of a dataset of {}", index, size_));
  const auto after = std::ranges::upper_bound(first_examples_, index);
  const auto shard = static_cast<std::size_t>(after - first_examples_.begin()) - 1;
  return {*shards_[shard], index - first_examples_[shard]};
}

const Manifest& PreparedDataset::manifest() const { return manifest_; }

std::uint64_t PreparedDataset::size() const { return size_; }

bool PreparedDataset::has_encoder() const { return manifest_.has_encoder; }

std::uint32_t PreparedDataset::input_length(std::uint64_t index) const {
  const auto [shard, local] = locate(index);
  return shard.input_length(local);
}

std::uint32_t PreparedDataset::target_length(std::uint64_t index) const {
  const auto [shard, local] = locate(index);
  return shard.target_length(local);
}

Example PreparedDataset::read(std::uint64_t index) const {
  const auto [shard, local] = locate(index);
  return shard.read(local);
}

const std::string& PreparedDataset::tokenizer_digest() const { return manifest_.tokenizer_sha256; }

std::string PreparedDataset::content_digest() const {
  std::string shards;
  for (const ShardEntry& entry : manifest_.shards) shards += fmt::format("{} {}\n", entry.sha256, entry.examples);
  return core::sha256(shards);
}

std::optional<ExampleOrigin> PreparedDataset::origin() const {
  ExampleOrigin origin{.datasets = {}, .report = manifest_.report};
  for (const SourceEntry& source : manifest_.sources) origin.datasets.push_back(source.path);
  return origin;
}

}  // namespace lockstep::data
