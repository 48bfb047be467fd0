#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "lockstep/models/model.h"
#include "models/decoder/decoder_block.h"
#include "models/language_head.h"
#include "models/layers/embedding.h"
#include "models/layers/norm.h"

namespace lockstep::models {

/// Implements every decoder-only family; DecoderConfig describes the differences.
class Decoder final : public LanguageModel {
 public:
  Decoder(ModelInfo info, DecoderConfig config);

  std::vector<std::vector<at::Tensor>> layer_parameters() const override;
  void initialise_weights(const at::Generator& generator) override;
  at::Tensor logits(const Batch& batch, Pass& pass) override;
  at::Tensor loss_sum(const Batch& batch, Pass& pass) override;
  at::Tensor row_loss_sums(const Batch& batch, Pass& pass) override;
  Started start_decoding(const at::Tensor& input_ids, const at::Tensor& lengths, Pass& pass) override;
  at::Tensor decode_step(DecodingState& state, const at::Tensor& tokens, Pass& pass) override;

 private:
  at::Tensor read_sequences(DecodingState& state, Pass& pass) const;
  at::Tensor embed(at::Tensor x, const at::Tensor& positions, Pass& pass) const;
  at::Tensor hidden(const Batch& batch, const PackedRows& rows, const at::Tensor& labelled, Pass& pass) const;
  at::Tensor run_blocks(at::Tensor x, const DecoderContext& context, Pass& pass, std::vector<KvCache>* caches) const;

  const DecoderConfig config_;
  const Rotary rotary_;
  std::shared_ptr<Embedding> tokens_, positions_;     // positions_ is null unless positions are learned
  std::shared_ptr<Linear> project_in_, project_out_;  // null if there are none
  std::vector<std::shared_ptr<DecoderBlock>> blocks_;
  std::shared_ptr<Norm> final_norm_;  // null if there is none
  std::optional<LanguageHead> head_;  // set in the constructor, after all other modules
};

}  // namespace lockstep::models
