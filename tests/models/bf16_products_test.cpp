#include "lockstep/models/bf16_products.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/models/layers.h"
#include "lockstep/models/loss.h"

namespace lockstep::test {
namespace {

// bf16 has 8 bits.
void expect_near(const at::Tensor& found, const at::Tensor& expected) {
  ASSERT_EQ(found.scalar_type(), at::kFloat);
  const double largest = expected.abs().max().item<double>();
  EXPECT_LT((found - expected).abs().max().item<double>(), largest / 128);
}

class Bf16Layer : public testing::TestWithParam<bool> {
 protected:
  Bf16Layer() {
    torch::manual_seed(1);
    layer = GetParam() ? std::shared_ptr<Projection>(std::make_shared<Conv1D>(48, 32))
                       : std::make_shared<Linear>(48, 32, true);
    const at::NoGradGuard no_grad;
    layer->weight.normal_();
    layer->bias.normal_();
  }

  at::Tensor run(const at::Tensor& input, RoundedWeights* given) {
    const Bf16Products products(given);
    return layer->forward(input, none);
  }

  Dropout none;
  std::shared_ptr<Projection> layer;
  at::Tensor x = torch::randn({3, 5, 48}, torch::requires_grad());
};

TEST_P(Bf16Layer, GivesTheProductsOfRoundedNumbersAndTheirGradients) {
  const at::Tensor upper = torch::randn({3, 5, 32});
  for (const bool keeps : {true, false}) {
    RoundedWeights weights(keeps);
    const auto found = torch::autograd::grad({run(x, &weights)}, {x, layer->weight, layer->bias}, {upper});
    const at::Tensor output = run(x, &weights);
    const at::Tensor exact = run(x, nullptr);
    EXPECT_FALSE(at::allclose(output, exact, 1e-5, 1e-5)) << "nothing was rounded";
    expect_near(output, exact);
    const auto expected = torch::autograd::grad({exact}, {x, layer->weight, layer->bias}, {upper});
    for (std::size_t i = 0; i < expected.size(); ++i) expect_near(found[i], expected[i]);
  }
}

TEST_P(Bf16Layer, FollowsItsWeightOnceToldThatItChanged) {
  RoundedWeights weights;
  const at::Tensor before = run(x, &weights).detach();
  {
    const at::NoGradGuard no_grad;
    layer->weight.zero_();
    layer->bias.zero_();
  }
  EXPECT_FALSE(at::equal(before, at::zeros_like(before)));
  weights.forget();
  EXPECT_TRUE(at::equal(run(x, &weights), at::zeros_like(before)));
}

TEST_P(Bf16Layer, LeavesAFrozenWeightWithoutGradient) {
  layer->weight.requires_grad_(false);
  layer->bias.requires_grad_(false);
  RoundedWeights weights;
  run(x, &weights).sum().backward();
  EXPECT_TRUE(x.grad().defined());
  EXPECT_FALSE(layer->weight.grad().defined());
}

INSTANTIATE_TEST_SUITE_P(Layouts, Bf16Layer, testing::Values(false, true),
                         [](const auto& instance) { return instance.param ? "Conv1D" : "Linear"; });

TEST(Bf16Products, EndWithTheirScope) {
  RoundedWeights weights;
  {
    const Bf16Products products(&weights);
    EXPECT_EQ(Bf16Products::current(), &weights);
  }
  EXPECT_EQ(Bf16Products::current(), nullptr);
}

struct HeadCase {
  const char* name;
  std::int64_t positions;
  bool has_bias = false;
  double soft_cap = 0, smoothing = 0;
};

class Bf16Head : public testing::TestWithParam<HeadCase> {};

// Beside the exact loss of the same rounded numbers.
TEST_P(Bf16Head, IsNearTheLossOfRoundedNumbers) {
  torch::manual_seed(3);
  const HeadCase& given = GetParam();
  const at::Tensor hidden = torch::randn({given.positions, 24}, torch::requires_grad());
  OutputHead head{.weight = torch::randn({101, 24}, torch::requires_grad()), .bias = {}, .soft_cap = given.soft_cap};
  if (given.has_bias) head.bias = torch::randn({101}, torch::requires_grad());
  const at::Tensor labels = torch::randint(101, {given.positions}, torch::kLong);
  std::vector<at::Tensor> inputs{hidden, head.weight};
  if (given.has_bias) inputs.push_back(head.bias);
  const auto differentiate = [&] {
    const at::Tensor loss = negative_log_likelihood(hidden, head, labels, given.smoothing);
    return std::pair{loss.item<double>(), torch::autograd::grad({loss * 0.01}, inputs)};
  };
  const auto [exact, expected] = differentiate();
  RoundedWeights weights;
  const Bf16Products products(&weights);
  const auto [loss, found] = differentiate();
  EXPECT_NE(loss, exact);
  EXPECT_NEAR(loss, exact, 0.01 * exact);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_EQ(found[i].scalar_type(), at::kFloat);
    EXPECT_LT((found[i] - expected[i]).norm().item<double>(), 0.03 * expected[i].norm().item<double>()) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Bf16Head,
                         testing::Values(HeadCase{"OneChunk", 40}, HeadCase{"TwoChunks", kHeadChunk + 40},
                                         HeadCase{"Bias", 40, true}, HeadCase{"SoftCap", 40, true, 2.5},
                                         HeadCase{"Smoothed", 40, false, 0, 0.1}),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace lockstep::test
