#include "models/language_head.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <memory>
#include <string>

namespace lockstep::models {
namespace {

constexpr std::int64_t kHeadVocabulary = 23, kHiddenFeatures = 6, kHeadPositions = 5;

struct HeadOptionsCase {
  std::string name;
  LanguageHead::Options options = {};
  bool has_adapter = false;
};

class EveryHead : public testing::TestWithParam<HeadOptionsCase> {
 protected:
  EveryHead() {
    torch::manual_seed(1);
    const at::NoGradGuard no_grad;
    embedding_->weight.normal_();
    for (at::Tensor& parameter : model_.parameters()) parameter.normal_();
    if (GetParam().has_adapter) {
      own_layer().low_rank =
          LowRankTerm{.a = torch::randn({2, kHiddenFeatures}), .b = torch::randn({kHeadVocabulary, 2}), .scale = 0.7};
    }
  }

  Linear& own_layer() { return dynamic_cast<Linear&>(*model_.named_children()["lm_head"]); }

  // Computes the logits from the formula, with nothing of the head but its parameters.
  at::Tensor expected_logits() {
    const LanguageHead::Options& options = GetParam().options;
    const at::Tensor x = hidden_ * options.input_scale;
    const auto parameters = model_.named_parameters();
    at::Tensor y = x.matmul((options.has_own_weight ? parameters["lm_head.weight"] : embedding_->weight).t());
    if (options.has_bias) y = y + parameters["lm_head.bias"];
    if (GetParam().has_adapter) {
      const LowRankTerm& term = *own_layer().low_rank;
      y = y + x.matmul(term.a.t()).matmul(term.b.t()) * term.scale;
    }
    return options.soft_cap == 0 ? y : options.soft_cap * torch::tanh(y / options.soft_cap);
  }

  torch::nn::Module model_;
  std::shared_ptr<Embedding> embedding_ = std::make_shared<Embedding>(kHeadVocabulary, kHiddenFeatures);
  LanguageHead head_{model_, embedding_, kHiddenFeatures, GetParam().options};
  at::Tensor hidden_ = torch::randn({kHeadPositions, kHiddenFeatures});
  at::Tensor labels_ = torch::randint(kHeadVocabulary, {kHeadPositions}, torch::kLong);
  Pass pass_{.label_smoothing = 0.1};
};

TEST_P(EveryHead, HasTheLogitsOfTheFormula) {
  EXPECT_TRUE(head_.logits(hidden_, pass_).allclose(expected_logits(), 1e-5, 1e-5));
}

TEST_P(EveryHead, HasTheLossesOfItsLogits) {
  const at::Tensor probabilities = torch::log_softmax(expected_logits(), -1);
  const at::Tensor of_labels = -probabilities.gather(1, labels_.unsqueeze(1)).squeeze(1);
  const at::Tensor expected = 0.9 * of_labels - 0.1 * probabilities.mean(-1);
  EXPECT_TRUE(head_.losses(hidden_, labels_, pass_).allclose(expected, 1e-4, 1e-5));
  EXPECT_TRUE(head_.loss_sum(hidden_, labels_, pass_).allclose(expected.sum(), 1e-4, 1e-5));
}

TEST_P(EveryHead, RegistersWhatTheEmbeddingDoesNotHave) {
  const LanguageHead::Options& options = GetParam().options;
  const auto parameters = model_.named_parameters();
  EXPECT_EQ(parameters.contains("lm_head.weight"), options.has_own_weight);
  EXPECT_EQ(parameters.contains("lm_head.bias"), options.has_bias);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, EveryHead,
    testing::Values(HeadOptionsCase{.name = "Tied"},
                    HeadOptionsCase{.name = "TiedWithBias", .options = {.has_bias = true}},
                    HeadOptionsCase{.name = "TiedScaled", .options = {.input_scale = 0.25}},
                    HeadOptionsCase{.name = "Own", .options = {.has_own_weight = true}},
                    HeadOptionsCase{.name = "OwnWithBiasAndCap",
                                    .options = {.has_own_weight = true, .has_bias = true, .soft_cap = 1.5}},
                    HeadOptionsCase{.name = "Adapted",
                                    .options = {.has_own_weight = true, .soft_cap = 2, .input_scale = 0.5},
                                    .has_adapter = true}),
    [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace lockstep::models
