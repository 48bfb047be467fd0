#include "models/language_head.h"

#include <utility>

#include "lockstep/models/families.h"

namespace lockstep::models {

LanguageHead::LanguageHead(torch::nn::Module& model, std::shared_ptr<Embedding> embedding, std::int64_t features,
                           const Options& options)
    : embedding_(std::move(embedding)), soft_cap_(options.soft_cap), input_scale_(options.input_scale) {
  const std::int64_t vocabulary = embedding_->weight.size(0);
  if (options.has_own_weight) {
    lm_head_ = model.register_module(
        kHeadModule, std::make_shared<Linear>(features, vocabulary, options.has_bias,
                                              ProjectionUse{ProjectionRole::kHead, TokenStream::kLabels}));
  } else if (options.has_bias) {
    tied_bias_ = model.register_module(kHeadModule, std::make_shared<torch::nn::Module>())
                     ->register_parameter("bias", torch::zeros({vocabulary}));
  }
}

at::Tensor LanguageHead::logits(const at::Tensor& hidden, Pass& pass) const {
  return has_adapter() ? adapted_logits(hidden, pass) : without_adapter().logits(scaled(hidden));
}

at::Tensor LanguageHead::loss_sum(const at::Tensor& hidden, const at::Tensor& labels, Pass& pass) const {
  if (has_adapter()) return negative_log_likelihood(adapted_logits(hidden, pass), labels, pass.label_smoothing);
  return negative_log_likelihood(scaled(hidden), without_adapter(), labels, pass);
}

at::Tensor LanguageHead::losses(const at::Tensor& hidden, const at::Tensor& labels, Pass& pass) const {
  if (has_adapter()) return negative_log_likelihoods(adapted_logits(hidden, pass), labels, pass.label_smoothing);
  return negative_log_likelihoods(scaled(hidden), without_adapter(), labels, pass.label_smoothing);
}

at::Tensor LanguageHead::scaled(const at::Tensor& hidden) const {
  return input_scale_ == 1 ? hidden : hidden * input_scale_;
}

at::Tensor LanguageHead::adapted_logits(const at::Tensor& hidden, Pass& pass) const {
  return soft_capped(lm_head_->forward(scaled(hidden), pass), soft_cap_);
}

OutputHead LanguageHead::without_adapter() const {
  if (lm_head_) return {lm_head_->weight, lm_head_->bias, soft_cap_};
  return {embedding_->weight, tied_bias_, soft_cap_};
}

}  // namespace lockstep::models
