#include "models/kernels/vector_math.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

namespace lockstep::models {
namespace {

class VectorMath : public testing::TestWithParam<std::int64_t> {
 protected:
  VectorMath() { torch::manual_seed(3); }
  at::Tensor drawn() const { return torch::randn({GetParam()}) * 20; }
};

float* data(const at::Tensor& x) { return x.mutable_data_ptr<float>(); }

TEST_P(VectorMath, SumsAndMaximaAreThoseOfTorch) {
  const at::Tensor a = drawn(), b = drawn();
  EXPECT_EQ(largest_of(data(a), GetParam()), a.max().item<float>());
  const double size = std::sqrt(static_cast<double>(GetParam()));
  EXPECT_NEAR(sum_of(data(a), GetParam()), a.to(at::kDouble).sum().item<double>(), 1e-4 * size);
  EXPECT_NEAR(sum_of_products(data(a), data(b), GetParam()),
              (a.to(at::kDouble) * b.to(at::kDouble)).sum().item<double>(), 1e-3 * size);
}

TEST_P(VectorMath, FindsAValueThatIsNotFinite) {
  at::Tensor a = drawn();
  a[0] = std::numeric_limits<float>::max();
  EXPECT_TRUE(all_finite(data(a), GetParam()));
  for (const double value : {HUGE_VAL, -HUGE_VAL, std::nan("")}) {
    a[GetParam() - 1] = value;
    EXPECT_FALSE(all_finite(data(a), GetParam())) << value;
  }
}

TEST_P(VectorMath, ChangesEachValueAsTorchDoes) {
  const at::Tensor a = drawn(), b = drawn();
  at::Tensor found = a.clone();
  scale(data(found), GetParam(), 0.3F, 2);
  EXPECT_TRUE(at::allclose(found, a * 0.3 - 2, 1e-5, 1e-5));
  found = a.clone();
  shift_and_multiply(data(found), data(b), GetParam(), 0.7F);
  EXPECT_TRUE(at::allclose(found, b * (a - 0.7), 1e-5, 1e-4));
  found = a.clone();
  add_to(data(found), data(b), GetParam());
  EXPECT_TRUE(found.equal(a + b));
}

TEST_P(VectorMath, ExponentialsAreThoseOfFloat64) {
  const at::Tensor x = torch::rand({GetParam()}) * 170 - 84;
  const at::Tensor found = x.clone();
  exponentiate(data(found), GetParam(), 1);
  const at::Tensor exact = (x - 1).to(at::kDouble).exp();
  EXPECT_LE(((found - exact).abs() / exact).max().item<double>(),
            2 * static_cast<double>(std::numeric_limits<float>::epsilon()));
}

TEST_P(VectorMath, SoftCapsAreThoseOfFloat64) {
  for (const double size : {0.01, 0.5, 3.0, 40.0}) {
    const at::Tensor x = (torch::rand({GetParam()}) * 2 - 1) * size, found = x.clone(), slopes = at::empty_like(x);
    soft_cap_with_derivative(data(found), data(slopes), GetParam(), 1.5F);
    const at::Tensor share = (x.to(at::kDouble) / 1.5).tanh(), exact = 1.5 * share;
    const double ulp = static_cast<double>(std::numeric_limits<float>::epsilon());
    EXPECT_LE(((found - exact).abs() / exact.abs()).max().item<double>(), 4 * ulp) << size;
    EXPECT_LE((slopes - (1 - share.square())).abs().max().item<double>(), 4 * ulp) << size;
  }
}

TEST_P(VectorMath, Bf16IsTorchs) {
  const at::Tensor x = drawn();
  const at::Tensor rounded = at::empty({GetParam()}, at::kBFloat16), back = at::empty_like(x);
  narrow(data(x), rounded.mutable_data_ptr<at::BFloat16>(), GetParam());
  widen(rounded.const_data_ptr<at::BFloat16>(), data(back), GetParam());
  EXPECT_TRUE(rounded.equal(x.to(at::kBFloat16)));
  EXPECT_TRUE(back.equal(x.to(at::kBFloat16).to(at::kFloat)));
}

// A single number, less than a vector of eight, two whole vectors, and many vectors with a remainder.
INSTANTIATE_TEST_SUITE_P(Sizes, VectorMath, testing::Values(1, 7, 16, 1003));

TEST(VectorMath, WhatIsNotFiniteStaysSo) {
  float values[] = {-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), -200};
  exponentiate(values, 3, 0);
  EXPECT_EQ(values[0], 0);
  EXPECT_TRUE(std::isnan(values[1]));
  EXPECT_EQ(values[2], 0);
  float capped[] = {-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 1e30F, -0.0F};
  float slopes[4];
  soft_cap_with_derivative(capped, slopes, 4, 2);
  EXPECT_EQ(capped[0], -2);
  EXPECT_TRUE(std::isnan(capped[1]));
  EXPECT_EQ(capped[2], 2);
  EXPECT_EQ(capped[3], 0);
}

}  // namespace
}  // namespace lockstep::models
