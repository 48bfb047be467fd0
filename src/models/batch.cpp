#include "lockstep/models/batch.h"

#include <ATen/ATen.h>
#include <algorithm>

namespace lockstep::models {
namespace {

std::int64_t signed_id(TokenId id) { return static_cast<std::int64_t>(id); }

// Returns a tensor [rows, columns] int64 filled with `value`.
at::Tensor filled(std::size_t rows, std::size_t columns, std::int64_t value) {
  return at::full({static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)}, value, at::kLong);
}

void add_encoder_decoder_row(const data::Example& example, TokenId decoder_start_id, std::int64_t* input,
                             std::int64_t* decoder_input, std::int64_t* labels) {
  std::transform(example.input.begin(), example.input.end(), input, signed_id);
  std::transform(example.target.begin(), example.target.end(), labels, signed_id);
  if (example.target.empty()) return;
  decoder_input[0] = signed_id(decoder_start_id);
  std::transform(example.target.begin(), example.target.end() - 1, decoder_input + 1, signed_id);
}

void add_decoder_only_row(const data::Example& example, std::int64_t* input, std::int64_t* labels) {
  const auto target = std::transform(example.input.begin(), example.input.end(), input, signed_id);
  std::transform(example.target.begin(), example.target.end(), target, signed_id);
  // The position before a token predicts it; nothing predicts the first token of a sequence.
  const std::size_t skipped = example.input.empty() && !example.target.empty() ? 1 : 0;
  if (example.target.empty()) return;
  const auto first = static_cast<std::ptrdiff_t>(example.input.size() + skipped) - 1;
  std::transform(example.target.begin() + static_cast<std::ptrdiff_t>(skipped), example.target.end(), labels + first,
                 signed_id);
}

// Returns the number of leading tokens on which a label depends, but at least 1 for an example with tokens, so that a
// batch without labels is not empty.
std::int64_t count_predictors(const data::Example& example) {
  const auto tokens = static_cast<std::int64_t>(example.input.size() + example.target.size());
  return std::min(tokens, example.target.empty() ? 1 : std::max<std::int64_t>(1, tokens - 1));
}

}  // namespace

Batch collate(std::span<const data::Example> examples, std::span<const std::uint64_t> example_ids, bool has_encoder,
              TokenId decoder_start_id, TokenId pad_id) {
  std::size_t input_length = 0;
  std::size_t target_length = 0;
  for (const data::Example& example : examples) {
    input_length = std::max(input_length, example.input.size() + (has_encoder ? 0 : example.target.size()));
    target_length = std::max(target_length, example.target.size());
  }

  Batch batch;
  batch.example_ids.assign(example_ids.begin(), example_ids.end());
  batch.input_ids = filled(examples.size(), input_length, signed_id(pad_id));
  batch.labels = filled(examples.size(), has_encoder ? target_length : input_length, kIgnoredLabel);
  if (has_encoder) batch.decoder_input_ids = filled(examples.size(), target_length, signed_id(pad_id));

  std::vector<std::int64_t> input_lengths, target_lengths;
  auto* input = batch.input_ids.mutable_data_ptr<std::int64_t>();
  auto* labels = batch.labels.mutable_data_ptr<std::int64_t>();
  auto* decoder_input = has_encoder ? batch.decoder_input_ids.mutable_data_ptr<std::int64_t>() : nullptr;
  for (std::size_t row = 0; row < examples.size(); ++row) {
    const data::Example& example = examples[row];
    if (has_encoder) {
      input_lengths.push_back(static_cast<std::int64_t>(example.input.size()));
      target_lengths.push_back(static_cast<std::int64_t>(example.target.size()));
      add_encoder_decoder_row(example, decoder_start_id, input + row * input_length,
                              decoder_input + row * target_length, labels + row * target_length);
    } else {
      input_lengths.push_back(static_cast<std::int64_t>(example.input.size() + example.target.size()));
      add_decoder_only_row(example, input + row * input_length, labels + row * input_length);
    }
  }
  batch.inputs = PackedRows(input_lengths);
  if (has_encoder) {
    batch.targets = PackedRows(target_lengths);
  } else {
    std::vector<std::int64_t> predictors;
    for (const data::Example& example : examples) predictors.push_back(count_predictors(example));
    batch.predictors = batch.inputs.first(predictors);
  }
  batch.labelled = batch.labels.flatten().ne(kIgnoredLabel).nonzero().squeeze(1);
  return batch;
}

Batch Batch::to(at::Device device) const {
  Batch same = *this;
  for (at::Tensor* tensor : {&same.input_ids, &same.decoder_input_ids, &same.labels, &same.labelled}) {
    *tensor = to_device(*tensor, device);
  }
  same.inputs = inputs.to(device);
  same.targets = targets.to(device);
  return same;
}

Batch read_batch(const TokenizedDataset& dataset, std::span<const std::uint64_t> indices, TokenId decoder_start_id,
                 TokenId pad_id) {
  std::vector<data::Example> examples;
  examples.reserve(indices.size());
  for (const std::uint64_t index : indices) examples.push_back(dataset.read(index));
  return collate(examples, indices, dataset.has_encoder(), decoder_start_id, pad_id);
}

}  // namespace lockstep::models
