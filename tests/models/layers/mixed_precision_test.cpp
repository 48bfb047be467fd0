#include "lockstep/models/layers/mixed_precision.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "lockstep/models/layers/linear.h"
#include "lockstep/models/loss.h"

namespace lockstep::models {
namespace {

constexpr at::ScalarType kTypes[] = {at::kBFloat16, at::kHalf};

// The significand of bf16 has 8 bits, that of fp16 11.
void expect_near_rounded(const at::Tensor& found, const at::Tensor& expected) {
  ASSERT_EQ(found.scalar_type(), at::kFloat);
  const double largest = expected.abs().max().item<double>();
  EXPECT_LT((found - expected).abs().max().item<double>(), largest / 128);
}

class RoundedLayer : public testing::TestWithParam<std::tuple<bool, at::ScalarType>> {
 protected:
  RoundedLayer() {
    torch::manual_seed(1);
    constexpr ProjectionUse kUse{ProjectionRole::kMlpUp, TokenStream::kInput};
    layer = std::get<bool>(GetParam()) ? std::shared_ptr<Projection>(std::make_shared<Conv1D>(48, 32, kUse))
                                       : std::make_shared<Linear>(48, 32, true, kUse);
    const at::NoGradGuard no_grad;
    layer->weight.normal_();
    layer->bias.normal_();
  }

  at::Tensor run(const at::Tensor& input, RoundedWeights* given) {
    Pass pass{.rounded_weights = given};
    return layer->forward(input, pass);
  }

  at::ScalarType type = std::get<at::ScalarType>(GetParam());
  std::shared_ptr<Projection> layer;
  at::Tensor x = torch::randn({3, 5, 48}, torch::requires_grad());
};

TEST_P(RoundedLayer, GivesTheProductsOfRoundedNumbersAndTheirGradients) {
  const at::Tensor grad_output = torch::randn({3, 5, 32});
  for (const bool keeps : {true, false}) {
    RoundedWeights weights(type, keeps);
    const auto found = torch::autograd::grad({run(x, &weights)}, {x, layer->weight, layer->bias}, {grad_output});
    const at::Tensor output = run(x, &weights);
    const at::Tensor exact = run(x, nullptr);
    EXPECT_FALSE(at::allclose(output, exact, 1e-5, 1e-5)) << "nothing was rounded";
    expect_near_rounded(output, exact);
    const auto expected = torch::autograd::grad({exact}, {x, layer->weight, layer->bias}, {grad_output});
    for (std::size_t i = 0; i < expected.size(); ++i) expect_near_rounded(found[i], expected[i]);
  }
}

TEST_P(RoundedLayer, FollowsItsWeightOnceToldThatItChanged) {
  RoundedWeights weights(type);
  const at::Tensor before = run(x, &weights).detach();
  {
    const at::NoGradGuard no_grad;
    layer->weight.zero_();
    layer->bias.zero_();
  }
  EXPECT_FALSE(at::equal(before, at::zeros_like(before)));
  weights.clear();
  EXPECT_TRUE(at::equal(run(x, &weights), at::zeros_like(before)));
}

TEST_P(RoundedLayer, LeavesAFrozenWeightWithoutGradient) {
  layer->weight.requires_grad_(false);
  layer->bias.requires_grad_(false);
  RoundedWeights weights(type);
  run(x, &weights).sum().backward();
  EXPECT_TRUE(x.grad().defined());
  EXPECT_FALSE(layer->weight.grad().defined());
}

INSTANTIATE_TEST_SUITE_P(Layouts, RoundedLayer, testing::Combine(testing::Bool(), testing::ValuesIn(kTypes)),
                         [](const auto& instance) {
                           return std::string(std::get<0>(instance.param) ? "Conv1D" : "Linear") +
                                  toString(std::get<1>(instance.param));
                         });

struct HeadCase {
  const char* name;
  std::int64_t positions;
  bool has_bias = false;
  double soft_cap = 0, smoothing = 0;
};

class RoundedHead : public testing::TestWithParam<HeadCase> {};

// The loss and its gradients differ from those in fp32, but only by rounding.
TEST_P(RoundedHead, IsNearTheLossOfRoundedNumbers) {
  torch::manual_seed(3);
  const HeadCase& given = GetParam();
  const at::Tensor hidden = torch::randn({given.positions, 24}, torch::requires_grad());
  OutputHead head{.weight = torch::randn({101, 24}, torch::requires_grad()), .bias = {}, .soft_cap = given.soft_cap};
  if (given.has_bias) head.bias = torch::randn({101}, torch::requires_grad());
  const at::Tensor labels = torch::randint(101, {given.positions}, torch::kLong);
  std::vector<at::Tensor> inputs{hidden, head.weight};
  if (given.has_bias) inputs.push_back(head.bias);
  const auto differentiate = [&](RoundedWeights* weights) {
    const Pass pass{.rounded_weights = weights, .label_smoothing = given.smoothing};
    const at::Tensor loss = negative_log_likelihood(hidden, head, labels, pass);
    return std::pair{loss.item<double>(), torch::autograd::grad({loss * 0.01}, inputs)};
  };
  const auto [exact, expected] = differentiate(nullptr);
  for (const at::ScalarType type : kTypes) {
    RoundedWeights weights(type);
    const auto [loss, found] = differentiate(&weights);
    EXPECT_NE(loss, exact);
    EXPECT_NEAR(loss, exact, 0.01 * exact);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      ASSERT_EQ(found[i].scalar_type(), at::kFloat);
      EXPECT_LT((found[i] - expected[i]).norm().item<double>(), 0.03 * expected[i].norm().item<double>()) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, RoundedHead,
                         testing::Values(HeadCase{"OneChunk", 40}, HeadCase{"TwoChunks", kHeadChunk + 40},
                                         HeadCase{"Bias", 40, true}, HeadCase{"SoftCap", 40, true, 2.5},
                                         HeadCase{"Smoothed", 40, false, 0, 0.1}),
                         [](const auto& instance) { return std::string(instance.param.name); });

// With 60,000 equally probable tokens, the loss times 1e-3 has a gradient of 1.7e-8 for each token other than the
// label, which is below the smallest fp16 number, 6e-8.
TEST(Fp16Head, KeepsSmallGradientsByTheLossScale) {
  const OutputHead head{.weight = torch::zeros({60000, 8}, torch::requires_grad()), .bias = {}};
  head.weight.mutable_grad() = torch::zeros_like(head.weight);
  const at::Tensor hidden = torch::ones({1, 8}, torch::requires_grad());
  constexpr double kShare = 1e-3;
  for (const double scale : {1.0, 65536.0}) {
    head.weight.mutable_grad().zero_();
    RoundedWeights weights(at::kHalf);
    const Pass pass{.rounded_weights = &weights, .adds_gradients_in_place = true, .loss_scale = scale * kShare};
    const at::Tensor loss = negative_log_likelihood(hidden, head, torch::zeros({1}, torch::kLong), pass);
    (loss * (scale * kShare)).backward();
    const double off_label = head.weight.grad()[1][0].item<double>() / scale;
    EXPECT_NEAR(off_label, scale == 1 ? 0 : kShare / 60000, 0.01 * kShare / 60000);
  }
}

}  // namespace
}  // namespace lockstep::models
