#pragma once

#include <torch/torch.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/json.h"
#include "lockstep/models/batch.h"
#include "lockstep/models/layers/dropout.h"
#include "lockstep/models/layers/layer_observer.h"

namespace lockstep::models {

/// What a model is apart from its weights.
struct ModelInfo {
  std::string model_type;    // config.json's "model_type", e.g. "t5"
  std::string architecture;  // transformers' class, e.g. "T5ForConditionalGeneration"
  bool has_encoder = false;
  std::int64_t vocabulary_size = 0;  // rows of the embedding
  std::int64_t hidden_size = 0;
  std::optional<std::int64_t> max_positions;  // learned positions; none where any length works (T5)
  TokenId decoder_start_id = 0;               // encoder-decoder models only
  Json config;                                // config.json as it was read
  Json generation_config;                     // generation_config.json likewise; null if there is none
  Json adapter_config = {};  // adapter_config.json of its LoRA adapter (models/adapters/lora.h); null: none
  std::string origin = {};   // what its weights were loaded from, a folder or a name of the hub; empty: nothing
};

/// What earlier positions leave for later ones while a batch of sequences is generated. Made by
/// LanguageModel::start_decoding(); belongs to that model.
class DecodingState {
 public:
  virtual ~DecodingState() = default;
  /// Keeps only the given rows of the batch, int64 [kept]: finished sequences cost nothing more.
  virtual void keep_rows(const at::Tensor& rows) = 0;
};

/// A T5-type or GPT-type model. Parameters carry the names that transformers gives them in model.safetensors.
/// fp32, on the device of its parameters, where the tensors that it is given must be.
class LanguageModel : public torch::nn::Module {
 public:
  explicit LanguageModel(ModelInfo info) : info_(std::move(info)) {}

  const ModelInfo& info() const { return info_; }
  at::Device device() const { return parameters().front().device(); }
  void set_adapter_config(Json config) { info_.adapter_config = std::move(config); }
  void set_origin(std::string origin) { info_.origin = std::move(origin); }

  /// The parameters that one layer alone computes with, for each layer in the order of the forward pass. [none]
  virtual std::vector<std::vector<at::Tensor>> layer_parameters() const { return {}; }
  /// Of those layers in logits(), loss_sum() and row_loss_sums(); null: nobody.
  void set_layer_observer(LayerObserver* observer) { layer_observer_ = observer; }

  /// Of the losses that loss_sum() and row_loss_sums() give (models/loss.h). [0]
  double label_smoothing() const { return label_smoothing_; }
  void set_label_smoothing(double smoothing) { label_smoothing_ = smoothing; }

  /// Draws all weights anew, with the distributions of transformers' _init_weights.
  virtual void initialise_weights(const at::Generator& generator) = 0;

  /// Logits [batch, positions, vocabulary] of every position that has a row in `batch.labels`.
  virtual at::Tensor logits(const Batch& batch, Dropout& dropout) = 0;

  /// Sum over the labelled positions of the negative log-likelihood, a scalar. The head runs at labelled positions
  /// only.
  virtual at::Tensor loss_sum(const Batch& batch, Dropout& dropout) = 0;

  /// The same sum for each row of the batch, [batch]; without dropout.
  virtual at::Tensor row_loss_sums(const Batch& batch) = 0;

  /// Reads the prompts, [batch, length] padded on the right with `lengths` real tokens each: the encoder's source, or
  /// the sequence to be continued. Returns the state and the logits [batch, vocabulary] of the first new token.
  struct Started {
    std::unique_ptr<DecodingState> state;
    at::Tensor logits;
  };
  virtual Started start_decoding(const at::Tensor& input_ids, const at::Tensor& lengths) = 0;

  /// Appends `tokens` [batch] and returns the logits [batch, vocabulary] of the next ones.
  virtual at::Tensor decode_step(DecodingState& state, const at::Tensor& tokens) = 0;

 protected:
  LayerObserver* layer_observer() const { return layer_observer_; }

 private:
  ModelInfo info_;
  LayerObserver* layer_observer_ = nullptr;
  double label_smoothing_ = 0;
};

/// Smooths a model's losses while it lives.
class LabelSmoothing {
 public:
  LabelSmoothing(LanguageModel& model, double smoothing) : model_(model), before_(model.label_smoothing()) {
    model.set_label_smoothing(smoothing);
  }
  ~LabelSmoothing() { model_.set_label_smoothing(before_); }
  LabelSmoothing(const LabelSmoothing&) = delete;
  LabelSmoothing& operator=(const LabelSmoothing&) = delete;

 private:
  LanguageModel& model_;
  const double before_;
};

}  // namespace lockstep::models

namespace lockstep {
using models::LanguageModel;
}  // namespace lockstep
