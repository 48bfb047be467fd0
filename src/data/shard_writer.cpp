#include "lockstep/data/shard_writer.h"

#include <fmt/format.h>

#include "hdf5_file.h"
#include "lockstep/core/atomic_file.h"
#include "lockstep/core/digest.h"
#include "lockstep/core/error.h"

namespace lockstep {
namespace {

void write_ids(hdf5::ImageFile& file, const std::string& path, const std::vector<TokenId>& ids, std::size_t id_bytes,
               int compression) {
  if (id_bytes == 2) {
    file.write(path, std::span<const std::uint16_t>(std::vector<std::uint16_t>(ids.begin(), ids.end())), compression);
  } else {
    file.write(path, std::span<const std::uint32_t>(ids), compression);
  }
}

}  // namespace

ShardWriter::ShardWriter(std::filesystem::path folder, Manifest description, ShardOptions options)
    : folder_(std::move(folder)), manifest_(std::move(description)), options_(options) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) throw_system_error("create the folder", folder_, error.value());
  if (!std::filesystem::is_empty(folder_)) {
    throw InputError(
        fmt::format("{}: expected an empty folder for shards, found files in it; give another", folder_.string()));
  }
  manifest_.shards.clear();
}

void ShardWriter::Block::append(const std::vector<TokenId>& more) { ids.insert(ids.end(), more.begin(), more.end()); }

void ShardWriter::add(ExampleBuilder::Result result) {
  const auto& [input, target] = result.example;
  const std::uint64_t bytes =
      (first_.ids.size() + second_.ids.size() + input.size() + target.size()) * manifest_.id_bytes();
  if (shard_report_.examples > 0 && bytes > options_.shard_bytes) write_shard();
  first_.append(input);
  if (manifest_.has_encoder) {
    second_.append(target);
    second_.close_example();
  } else {
    first_.append(target);
    target_starts_.push_back(static_cast<std::uint32_t>(input.size()));
  }
  first_.close_example();
  shard_report_.add(result);
}

std::string ShardWriter::compose_image() const {
  const hdf5::Lock lock;
  hdf5::ImageFile file(partial_path(manifest_.shards.size()).string());
  const auto write_block = [&](const std::string& group, const Block& block) {
    file.make_group(group);
    write_ids(file, group + "/ids", block.ids, manifest_.id_bytes(), options_.compression);
    file.write(group + "/offsets", std::span<const std::uint64_t>(block.offsets), options_.compression);
  };
  if (manifest_.has_encoder) {
    write_block("source", first_);
    write_block("target", second_);
  } else {
    write_block("sequence", first_);
    file.write("target_start", std::span<const std::uint32_t>(target_starts_), options_.compression);
  }
  file.write_attribute("format_version", Manifest::kFormatVersion);
  file.write_attribute("pretrained_model_name", manifest_.pretrained_model_name);
  file.write_attribute("tokenizer_sha256", manifest_.tokenizer_sha256);
  file.write_attribute("has_encoder", manifest_.has_encoder ? 1 : 0);
  file.write_attribute("vocabulary_size", manifest_.vocabulary_size);
  if (manifest_.model_max_length) file.write_attribute("model_max_length", *manifest_.model_max_length);
  file.write_attribute("examples", shard_report_.examples);
  file.write_attribute("input_tokens", shard_report_.input_tokens);
  file.write_attribute("target_tokens", shard_report_.target_tokens);
  file.write_attribute("truncated_inputs", shard_report_.truncated_inputs);
  file.write_attribute("truncated_targets", shard_report_.truncated_targets);
  file.write_attribute("max_input_length", shard_report_.input_lengths.max());
  file.write_attribute("max_target_length", shard_report_.target_lengths.max());
  file.write_attribute("max_total_length", shard_report_.total_lengths.max());
  return file.image();
}

void ShardWriter::write_shard() {
  const std::string image = compose_image();
  write_file(partial_path(manifest_.shards.size()), image);
  manifest_.shards.push_back({"", sha256(image), image.size(), shard_report_.examples});
  first_ = {};
  second_ = {};
  target_starts_.clear();
  shard_report_ = {};
}

Manifest ShardWriter::finish(const TokenizationReport& report) {
  if (shard_report_.examples > 0) write_shard();
  for (std::size_t i = 0; i < manifest_.shards.size(); ++i) {
    manifest_.shards[i].name = fmt::format("shard-{:05}-of-{:05}.h5", i, manifest_.shards.size());
    std::error_code error;
    const auto path = folder_ / manifest_.shards[i].name;
    std::filesystem::rename(partial_path(i), path, error);
    if (error) throw_system_error("rename a shard into", path, error.value());
  }
  manifest_.report = report;
  for (std::size_t i = 0; i < manifest_.sources.size() && i < report.dataset_rows.size(); ++i) {
    manifest_.sources[i].rows = report.dataset_rows[i];
  }
  write_json_file(folder_ / Manifest::kFileName, manifest_.to_json());
  return manifest_;
}

std::filesystem::path ShardWriter::partial_path(std::size_t shard) const {
  return folder_ / fmt::format("shard-{:05}.h5", shard);
}

}  // namespace lockstep
