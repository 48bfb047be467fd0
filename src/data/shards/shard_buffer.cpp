#include "data/shards/shard_buffer.h"

#include <span>

namespace lockstep::data {

IdColumn::IdColumn(std::size_t id_bytes) {
  if (id_bytes == 4) ids_ = std::vector<std::uint32_t>();
}

void IdColumn::append(const std::vector<TokenId>& ids) {
  std::visit([&](auto& column) { column.insert(column.end(), ids.begin(), ids.end()); }, ids_);
  size_ += ids.size();
}

void IdColumn::write(hdf5::ImageFile& file, const std::string& group, int compression) const {
  file.make_group(group);
  std::visit([&](const auto& column) { file.write(group + "/ids", std::span(column), compression); }, ids_);
  file.write(group + "/offsets", std::span(offsets_), compression);
}

ShardBuffer::ShardBuffer(const Manifest& description)
    : description_(&description), first_(description.id_bytes()), second_(description.id_bytes()) {}

void ShardBuffer::add(const Example& example) {
  first_.append(example.input);
  if (description_->has_encoder) {
    second_.append(example.target);
    second_.close_example();
  } else {
    first_.append(example.target);
    target_starts_.push_back(static_cast<std::uint32_t>(example.input.size()));
  }
  first_.close_example();
}

std::string ShardBuffer::compose(const std::string& name, const TokenizationReport& report, int compression) const {
  const hdf5::Lock lock;
  hdf5::ImageFile file(name);
  if (description_->has_encoder) {
    first_.write(file, "source", compression);
    second_.write(file, "target", compression);
  } else {
    first_.write(file, "sequence", compression);
    file.write("target_start", std::span(target_starts_), compression);
  }
  file.write_attribute("format_version", Manifest::kFormatVersion);
  file.write_attribute("pretrained_model_name", description_->pretrained_model_name);
  file.write_attribute("tokenizer_sha256", description_->tokenizer_sha256);
  file.write_attribute("has_encoder", description_->has_encoder ? 1 : 0);
  file.write_attribute("vocabulary_size", description_->vocabulary_size);
  if (description_->model_max_length) file.write_attribute("model_max_length", *description_->model_max_length);
  file.write_attribute("examples", report.examples);
  file.write_attribute("input_tokens", report.input_tokens);
  file.write_attribute("target_tokens", report.target_tokens);
  file.write_attribute("truncated_inputs", report.truncated_inputs);
  file.write_attribute("truncated_targets", report.truncated_targets);
  file.write_attribute("max_input_length", report.input_lengths.max());
  file.write_attribute("max_target_length", report.target_lengths.max());
  file.write_attribute("max_total_length", report.total_lengths.max());
  return file.image();
}

}  // namespace lockstep::data
