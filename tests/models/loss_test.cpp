#include "lockstep/models/loss.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep::models {
namespace {

constexpr std::int64_t kFeatures = 12, kVocabulary = 37;

struct Case {
  std::string name;
  std::int64_t positions;
  bool has_bias = false;
  double soft_cap = 0, smoothing = 0;
  bool trains_hidden = true, trains_head = true;
  std::int64_t vocabulary = kVocabulary;
};

class HeadLoss : public testing::TestWithParam<Case> {
 protected:
  HeadLoss() {
    torch::manual_seed(1);
    const Case& given = GetParam();
    hidden = torch::randn({given.positions, kFeatures}).set_requires_grad(given.trains_hidden);
    head = {.weight = torch::randn({given.vocabulary, kFeatures}).set_requires_grad(given.trains_head),
            .bias = {},
            .soft_cap = given.soft_cap};
    if (given.has_bias) head.bias = torch::randn({given.vocabulary}).set_requires_grad(given.trains_head);
    labels = torch::randint(given.vocabulary, {given.positions}, torch::kLong);
  }

  std::vector<at::Tensor> trained() const {
    std::vector<at::Tensor> tensors;
    for (const at::Tensor& tensor : {hidden, head.weight, head.bias}) {
      if (tensor.defined() && tensor.requires_grad()) tensors.push_back(tensor);
    }
    return tensors;
  }

  at::Tensor hidden, labels;
  OutputHead head;
};

TEST_P(HeadLoss, EqualsThatOfAllLogitsAtOnce) {
  const double smoothing = GetParam().smoothing;
  const at::Tensor expected = negative_log_likelihoods(head.logits(hidden), labels, smoothing).detach();
  EXPECT_TRUE(at::allclose(negative_log_likelihoods(hidden, head, labels, smoothing), expected, 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(negative_log_likelihood(hidden, head, labels, {.label_smoothing = smoothing}),
                           expected.sum(), 1e-5, 1e-6));
}

TEST_P(HeadLoss, HasTheGradientsOfAllLogitsAtOnce) {
  const std::vector<at::Tensor> inputs = trained();
  const auto gradients = [&](const at::Tensor& loss) { return torch::autograd::grad({loss * 0.3}, inputs); };
  const double smoothing = GetParam().smoothing;
  const auto expected = gradients(negative_log_likelihood(head.logits(hidden), labels, smoothing));
  const auto found = gradients(negative_log_likelihood(hidden, head, labels, {.label_smoothing = smoothing}));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-4, 1e-6)) << (found[i] - expected[i]).abs().max();
  }
}

TEST_P(HeadLoss, AddsToTheGradientsThatAreThere) {
  const std::vector<at::Tensor> inputs = trained();
  for (const at::Tensor& input : inputs) input.mutable_grad() = at::full_like(input, 2);
  const double smoothing = GetParam().smoothing;
  const auto expected =
      torch::autograd::grad({negative_log_likelihood(head.logits(hidden), labels, smoothing) * 0.3}, inputs);
  const Pass pass{.label_smoothing = smoothing, .adds_gradients_in_place = true, .loss_scale = 0.3};
  (negative_log_likelihood(hidden, head, labels, pass) * 0.3).backward();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const at::Tensor found = inputs[i].grad() - 2;
    EXPECT_TRUE(at::allclose(found, expected[i], 1e-4, 1e-5)) << (found - expected[i]).abs().max();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, HeadLoss,
    testing::Values(Case{.name = "OneChunk", .positions = 7}, Case{.name = "AFullChunk", .positions = kHeadChunk},
                    Case{.name = "ThreeChunks", .positions = 2 * kHeadChunk + 5},
                    Case{.name = "Bias", .positions = 2 * kHeadChunk + 5, .has_bias = true},
                    Case{.name = "SoftCap", .positions = 2 * kHeadChunk + 5, .has_bias = true, .soft_cap = 2.5},
                    Case{.name = "Smoothed", .positions = kHeadChunk + 5, .has_bias = true, .smoothing = 0.2},
                    Case{.name = "SmoothedSoftCap", .positions = 9, .soft_cap = 2.5, .smoothing = 0.1},
                    Case{.name = "FrozenHead", .positions = kHeadChunk + 1, .has_bias = true, .trains_head = false},
                    Case{.name = "FrozenBelow", .positions = kHeadChunk + 1, .has_bias = true, .trains_hidden = false},
                    Case{.name = "PartsOfAVocabulary", .positions = kHeadChunk + 3, .vocabulary = 9001},
                    Case{.name = "PartsOfABias", .positions = 9, .has_bias = true, .vocabulary = 4097},
                    Case{.name = "NoPositions", .positions = 0, .has_bias = true}),
    [](const auto& instance) { return instance.param.name; });

TEST(HeadLoss, KeepsLogitsOfAnySize) {
  const at::Tensor hidden = torch::full({2, 1}, 1.0F, torch::requires_grad());
  const OutputHead head{.weight = torch::tensor({{-1e4F}, {1e4F}, {3e4F}}), .bias = {}};
  const at::Tensor loss = negative_log_likelihood(hidden, head, torch::tensor({2, 1}, torch::kLong));
  EXPECT_FLOAT_EQ(loss.item<float>(), 2e4F);
  loss.backward();
  EXPECT_TRUE(at::equal(hidden.grad(), torch::tensor({{0.0F}, {2e4F}})));
}

TEST(HeadLoss, IsNotANumberWhereLogitsAreNot) {
  for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const at::Tensor hidden = torch::full({1, 1}, 1.0F, torch::requires_grad());
    at::Tensor weight = torch::zeros({kVocabulary, 1});
    weight[kVocabulary / 2][0] = wrong;
    const at::Tensor loss =
        negative_log_likelihood(hidden, {.weight = weight, .bias = {}}, torch::zeros({1}, torch::kLong));
    EXPECT_TRUE(std::isnan(loss.item<float>()));
  }
}

// The vocabulary exceeds the ranges in which it is processed, and is not a multiple of any vector length.
TEST(HeadLoss, IsThatOfALargeVocabulary) {
  torch::manual_seed(2);
  const at::Tensor hidden = torch::randn({3, kFeatures}, torch::requires_grad());
  const OutputHead head{.weight = torch::randn({5003, kFeatures}, torch::requires_grad()), .bias = {}};
  const at::Tensor labels = torch::tensor({0, 5002, 2500}, torch::kLong);
  const auto gradients = [&](const at::Tensor& loss) { return torch::autograd::grad({loss}, {hidden, head.weight}); };
  const auto expected = gradients(negative_log_likelihood(head.logits(hidden), labels, 0.1));
  const auto found = gradients(negative_log_likelihood(hidden, head, labels, {.label_smoothing = 0.1}));
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-4, 1e-7));
}

TEST(HeadLoss, HasItsGradientOnce) {
  const at::Tensor hidden = torch::randn({3, kFeatures}, torch::requires_grad());
  const OutputHead head{.weight = torch::randn({kVocabulary, kFeatures}), .bias = {}};
  const at::Tensor loss = negative_log_likelihood(hidden, head, torch::zeros({3}, torch::kLong));
  loss.backward({}, /*retain_graph=*/true);
  EXPECT_THROW(loss.backward(), Error);
}

TEST(HeadLoss, IsScaledAsItWasTold) {
  const at::Tensor hidden = torch::randn({3, kFeatures}, torch::requires_grad());
  const OutputHead head{.weight = torch::randn({kVocabulary, kFeatures}, torch::requires_grad()), .bias = {}};
  head.weight.mutable_grad() = torch::zeros_like(head.weight);
  const Pass pass{.adds_gradients_in_place = true, .loss_scale = 0.3};
  const at::Tensor loss = negative_log_likelihood(hidden, head, torch::zeros({3}, torch::kLong), pass);
  EXPECT_THROW((loss * 0.4).backward(), Error);
}

}  // namespace
}  // namespace lockstep::models
