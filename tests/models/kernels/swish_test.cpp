#include "models/kernels/swish.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "models/gradients_of.h"

namespace lockstep::models {
namespace {

constexpr Swish kGelu{1.59576912F, 0.0713548163F};

// Returns random numbers, with some far outside the range in which the exponential neither overflows nor underflows.
at::Tensor example(std::int64_t rows, std::int64_t columns) {
  torch::manual_seed(6);
  at::Tensor x = 4 * torch::randn({rows, columns});
  x.view(-1).narrow(0, 0, 8).copy_(torch::tensor({-1e4, -300.0, -88.5, -40.0, 0.0, 40.0, 300.0, 1e4}));
  return x;
}

void expect_near(const at::Tensor& found, const at::Tensor& expected) {
  ASSERT_EQ(found.defined(), expected.defined());
  EXPECT_TRUE(!found.defined() || found.to(at::kDouble).allclose(expected, 1e-5, 1e-6))
      << (found - expected).abs().max();
}

struct Form {
  Swish swish;
  at::Tensor (*expected)(const at::Tensor&);
};

class SwishForms : public testing::TestWithParam<Form> {};

TEST_P(SwishForms, HasTheValuesAndGradientsOfLibTorch) {
  const Swish swish = GetParam().swish;
  const auto expected = GetParam().expected;
  const at::Tensor x = example(37, 21), up = torch::randn({37, 21}), grad_output = torch::randn({37, 21});
  for (const bool is_gated : {false, true}) {
    const auto found = test::gradients_of(
        [&](const at::Tensor& a, const at::Tensor& b) { return swish_on_host(a, is_gated ? b : at::Tensor(), swish); },
        x, up, grad_output);
    const auto wanted = test::gradients_of(
        [&](const at::Tensor& a, const at::Tensor& b) { return is_gated ? expected(a) * b : expected(a); },
        x.to(at::kDouble), up.to(at::kDouble), grad_output.to(at::kDouble));
    expect_near(found.value, wanted.value);
    expect_near(found.grad_first, wanted.grad_first);
    expect_near(found.grad_second, wanted.grad_second);
  }
}

INSTANTIATE_TEST_SUITE_P(All, SwishForms,
                         testing::Values(Form{{}, [](const at::Tensor& x) { return at::silu(x); }},
                                         Form{{1.702F}, [](const at::Tensor& x) { return x * at::sigmoid(1.702 * x); }},
                                         Form{kGelu, [](const at::Tensor& x) { return at::gelu(x, "tanh"); }}));

TEST(Swish, TakesHalvesOfRowsAndTensorsThatLieApart) {
  const at::Tensor both = example(30, 16), grad_output = torch::randn({8, 30}).t();
  const auto gated = [](const at::Tensor& x, const at::Tensor& up) { return swish_on_host(x, up, kGelu); };
  const test::ValueAndGradients found =
      test::gradients_of(gated, both.narrow(1, 0, 8), both.narrow(1, 8, 8), grad_output);
  const test::ValueAndGradients expected =
      test::gradients_of(gated, both.narrow(1, 0, 8).clone(), both.narrow(1, 8, 8).clone(), grad_output.contiguous());
  EXPECT_TRUE(found.value.equal(expected.value));
  EXPECT_TRUE(found.grad_first.equal(expected.grad_first));
  EXPECT_TRUE(found.grad_second.equal(expected.grad_second));
  EXPECT_TRUE(swish_on_host(both.view({5, 6, 16}), {}, kGelu).view({30, 16}).equal(swish_on_host(both, {}, kGelu)));
  EXPECT_EQ(swish_on_host(at::empty({0, 4}), {}, kGelu).numel(), 0);
}

}  // namespace
}  // namespace lockstep::models
