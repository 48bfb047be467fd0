#pragma once

#include <torch/torch.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/json.h"
#include "lockstep/models/batch.h"
#include "lockstep/models/layers/pass.h"

namespace lockstep::models {

/// Describes a model, without its weights.
struct ModelInfo {
  std::string model_type;    // config.json's "model_type", e.g. "t5"
  std::string architecture;  // transformers' class, e.g. "T5ForConditionalGeneration"
  bool has_encoder = false;
  std::int64_t vocabulary_size = 0;  // rows of the embedding
  std::int64_t hidden_size = 0;
  std::optional<std::int64_t> max_positions;  // none if any length works (T5)
  TokenId decoder_start_id = 0;               // encoder-decoder models only
  Json config;                                // config.json, as read
  Json generation_config;                     // generation_config.json, as read; null if there is none
  Json adapter_config = {};  // adapter_config.json of the LoRA adapter (models/adapters/lora.h); null if there is none
  std::string origin = {};   // source of the weights, a folder or a hub name; empty if not loaded
};

/// Holds the state of a model between the steps of generating a batch of sequences, such as cached keys and values.
/// LanguageModel::start_decoding() creates it; it works only with that model.
class DecodingState {
 public:
  virtual ~DecodingState() = default;
  /// Keeps only the given rows of the batch, [kept] int64, so that finished sequences cost nothing more.
  virtual void keep_rows(const at::Tensor& rows) = 0;
};

/// Represents an encoder-decoder (T5) or decoder-only (GPT) language model. Parameters have the names that transformers
/// uses in model.safetensors. Inputs must be on the device of the parameters; results are fp32.
class LanguageModel : public torch::nn::Module {
 public:
  explicit LanguageModel(ModelInfo info) : info_(std::move(info)) {}

  const ModelInfo& info() const { return info_; }
  at::Device device() const { return parameters().front().device(); }
  void set_adapter_config(Json config) { info_.adapter_config = std::move(config); }
  void set_special_ids(Json config, Json generation_config) {
    info_.config = std::move(config);
    info_.generation_config = std::move(generation_config);
  }
  void set_origin(std::string origin) { info_.origin = std::move(origin); }

  /// Returns, for each layer in the order of the forward pass, the parameters that only this layer uses. Returns
  /// nothing by default.
  virtual std::vector<std::vector<at::Tensor>> layer_parameters() const { return {}; }

  /// Sets all weights to random values with the distributions of transformers' _init_weights.
  virtual void initialise_weights(const at::Generator& generator) = 0;

  /// Returns the logits [batch, positions, vocabulary] for all positions of `batch.labels`.
  virtual at::Tensor logits(const Batch& batch, Pass& pass) = 0;

  /// Returns the sum of the negative log-likelihood over the labelled positions, a scalar. The head runs at labelled
  /// positions only.
  virtual at::Tensor loss_sum(const Batch& batch, Pass& pass) = 0;

  /// Returns the sum of the negative log-likelihood over the labelled positions of each row, [batch], without
  /// gradients.
  virtual at::Tensor row_loss_sums(const Batch& batch, Pass& pass) = 0;

  /// Holds the result of start_decoding(): the state, and the logits [batch, vocabulary] of the first new token.
  struct Started {
    std::unique_ptr<DecodingState> state;
    at::Tensor logits;
  };
  /// Reads the prompts `input_ids` [batch, length], padded on the right, with `lengths` [batch] real tokens: the
  /// encoder's source, or the sequences to continue.
  virtual Started start_decoding(const at::Tensor& input_ids, const at::Tensor& lengths, Pass& pass) = 0;

  /// Appends `tokens` [batch] and returns the logits [batch, vocabulary] of the next tokens.
  virtual at::Tensor decode_step(DecodingState& state, const at::Tensor& tokens, Pass& pass) = 0;

 private:
  ModelInfo info_;
};

}  // namespace lockstep::models

namespace lockstep {
using models::LanguageModel;
}  // namespace lockstep
