#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <cstdint>
#include <span>
#include <vector>

#include "lockstep/data/example.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/models/layers/embedding_noise.h"
#include "lockstep/models/layers/packed_rows.h"

namespace lockstep::models {

/// The label of a position that the loss leaves out.
inline constexpr std::int64_t kIgnoredLabel = -100;

/// Examples padded on the right to common lengths. What is padding follows from the place, never from a token's id.
struct Batch {
  at::Tensor input_ids;          // [batch, length] int64: the encoder's source, or the decoder-only sequence
  at::Tensor decoder_input_ids;  // [batch, target_length] int64: the target shifted right; undefined for decoder-only
  at::Tensor labels;    // [batch, target_length] (encoder-decoder) or [batch, length] (decoder-only) int64: the id that
                        // this position must predict (already shifted), or kIgnoredLabel
  at::Tensor labelled;  // [labelled positions] int64: where `labels`, flattened, has ids. Found on the host: no GPU has
                        // to be waited for to know how many they are
  PackedRows inputs;    // the real tokens of input_ids
  PackedRows predictors;  // decoder-only: of them, those on which a label depends: not a row's last. Stays on the host
  PackedRows targets;     // of decoder_input_ids
  std::vector<std::uint64_t> example_ids;  // [batch] names the rows for the dropout masks
  EmbeddingNoise noise = {};               // on the embeddings; none but in training

  /// The same on `device`. To a GPU it is copied from page-locked memory, behind what the current stream has to do; the
  /// host does not wait.
  Batch to(at::Device device) const;
};

/// Builds a batch. `decoder_start_id` begins each decoder input (encoder-decoder models only).
/// `example_ids` has one entry an example.
Batch collate(std::span<const data::Example> examples, std::span<const std::uint64_t> example_ids, bool has_encoder,
              TokenId decoder_start_id, TokenId pad_id);

/// Reads the given examples of a dataset and collates them; their indices are the batch's example_ids.
Batch read_batch(const TokenizedDataset& dataset, std::span<const std::uint64_t> indices, TokenId decoder_start_id,
                 TokenId pad_id);

}  // namespace lockstep::models
