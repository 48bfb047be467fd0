#pragma once

#include <torch/torch.h>

#include <memory>
#include <utility>

#include "lockstep/models/model.h"

namespace lockstep::test {

inline models::ModelInfo bigram_info(std::int64_t vocabulary) {
  models::ModelInfo info;
  info.vocabulary_size = vocabulary;
  return info;
}

/// Predicts each token from the previous one only: the smallest decoder-only model that trains and generates.
/// `weight` [vocabulary, vocabulary] holds the logits of the next token.
class BigramModel final : public LanguageModel {
 public:
  explicit BigramModel(std::int64_t vocabulary) : BigramModel(bigram_info(vocabulary)) {}
  explicit BigramModel(models::ModelInfo info) : LanguageModel(std::move(info)) {
    const std::int64_t vocabulary = this->info().vocabulary_size;
    weight = register_parameter("weight", torch::zeros({vocabulary, vocabulary}));
  }

  void initialise_weights(const at::Generator&) override { torch::nn::init::zeros_(weight); }
  at::Tensor logits(const models::Batch& batch, models::Pass&) override {
    return weight.index_select(0, batch.input_ids.flatten());
  }
  at::Tensor loss_sum(const models::Batch& batch, models::Pass& pass) override {
    ++micro_batches;
    last_pass = pass;
    return losses(batch, pass, at::Reduction::Sum);
  }
  at::Tensor row_loss_sums(const models::Batch& batch, models::Pass& pass) override {
    was_training = is_training();
    last_evaluation_pass = pass;
    return losses(batch, pass, at::Reduction::None).view_as(batch.labels).sum(-1);
  }
  Started start_decoding(const at::Tensor& input_ids, const at::Tensor& lengths, models::Pass& pass) override {
    const at::Tensor last = input_ids.gather(1, (lengths - 1).unsqueeze(1)).squeeze(1);
    auto state = std::make_unique<State>();
    at::Tensor next = decode_step(*state, last, pass);
    return {std::move(state), next};
  }
  at::Tensor decode_step(models::DecodingState&, const at::Tensor& tokens, models::Pass&) override {
    decoded_rows += tokens.size(0);
    return weight.index_select(0, tokens);
  }

  at::Tensor weight;
  int micro_batches = 0;
  bool was_training = false;  // is_training() during the last row_loss_sums()
  std::int64_t decoded_rows = 0;
  models::Pass last_pass, last_evaluation_pass;  // of loss_sum() and row_loss_sums(); what they point to may be gone

 private:
  struct State final : models::DecodingState {
    void keep_rows(const at::Tensor&) override {}
  };
  at::Tensor losses(const models::Batch& batch, models::Pass& pass, at::Reduction::Reduction reduction) {
    return torch::nll_loss(torch::log_softmax(logits(batch, pass), -1), batch.labels.flatten(), {}, reduction,
                           models::kIgnoredLabel);
  }
};

}  // namespace lockstep::test
