#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <cstdint>
#include <span>
#include <vector>

#include "lockstep/data/example.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/models/layers/packed_rows.h"

namespace lockstep::models {

/// The label of positions that do not count in the loss.
inline constexpr std::int64_t kIgnoredLabel = -100;

/// Holds examples padded on the right to common lengths. Padding is identified by position, never by token id.
struct Batch {
  at::Tensor input_ids;          // [batch, length] int64: the encoder's source, or the decoder-only sequence
  at::Tensor decoder_input_ids;  // [batch, target_length] int64: the target shifted right; undefined for decoder-only
  at::Tensor labels;    // [batch, target_length] (encoder-decoder) or [batch, length] (decoder-only) int64: the id that
                        // this position must predict (already shifted), or kIgnoredLabel
  at::Tensor labelled;  // [labelled positions] int64: indices of the ids in the flattened `labels`, found on the host
                        // so that their number is known without waiting for a GPU
  PackedRows inputs;    // the real tokens of input_ids
  PackedRows predictors;  // decoder-only: the tokens of `inputs` on which a label depends, thus not a row's last one;
                          // stays on the host
  PackedRows targets;     // the real tokens of decoder_input_ids
  std::vector<std::uint64_t> example_ids;  // [batch], keys of the dropout masks

  /// Returns a copy on `device`. A copy to a GPU is queued on the current stream, through page-locked memory, and does
  /// not block the host.
  Batch to(at::Device device) const;
};

/// Builds a batch. `decoder_start_id` begins each decoder input (encoder-decoder models only). `example_ids` has one
/// entry per example.
Batch collate(std::span<const data::Example> examples, std::span<const std::uint64_t> example_ids, bool has_encoder,
              TokenId decoder_start_id, TokenId pad_id);

/// Reads the given examples of a dataset and collates them. Their indices become the batch's example_ids.
Batch read_batch(const TokenizedDataset& dataset, std::span<const std::uint64_t> indices, TokenId decoder_start_id,
                 TokenId pad_id);

}  // namespace lockstep::models
