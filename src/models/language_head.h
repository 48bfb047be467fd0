#pragma once

#include <torch/torch.h>

#include <memory>

#include "lockstep/models/layers/linear.h"
#include "lockstep/models/loss.h"
#include "models/layers/embedding.h"

namespace lockstep::models {

/// Computes the last layer of a language model: logits and losses of hidden states, with a weight of its own or that of
/// the embedding, and with the term of an adapter if there is one.
class LanguageHead {
 public:
  struct Options {
    bool has_own_weight = false, has_bias = false;
    double soft_cap = 0;     // see soft_capped(); 0: none
    double input_scale = 1;  // hidden states are multiplied by this first
  };
  /// Registers the module `lm_head` in `model` if the head has a weight or a bias of its own. `features` are those of
  /// the hidden states.
  LanguageHead(torch::nn::Module& model, std::shared_ptr<Embedding> embedding, std::int64_t features,
               const Options& options);

  /// Returns the logits [..., vocabulary] of `hidden` [..., features].
  at::Tensor logits(const at::Tensor& hidden, Pass& pass) const;
  /// Returns the sum of the negative log-likelihoods of `labels` [positions] given `hidden` [positions, features], a
  /// scalar.
  at::Tensor loss_sum(const at::Tensor& hidden, const at::Tensor& labels, Pass& pass) const;
  /// Returns the negative log-likelihood of each position, [positions], without a gradient.
  at::Tensor losses(const at::Tensor& hidden, const at::Tensor& labels, Pass& pass) const;

 private:
  bool has_adapter() const { return lm_head_ && lm_head_->low_rank; }
  at::Tensor scaled(const at::Tensor& hidden) const;
  at::Tensor adapted_logits(const at::Tensor& hidden, Pass& pass) const;
  OutputHead without_adapter() const;

  std::shared_ptr<Embedding> embedding_;
  std::shared_ptr<Linear> lm_head_;  // null if the head shares the embedding's weight
  at::Tensor tied_bias_;             // undefined unless a shared weight comes with a bias
  double soft_cap_, input_scale_;
};

}  // namespace lockstep::models
