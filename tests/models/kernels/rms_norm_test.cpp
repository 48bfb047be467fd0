#include "models/kernels/rms_norm.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <vector>

#include "models/gradients_of.h"
#include "models/layers/norm.h"

namespace lockstep::models {
namespace {

constexpr double kEpsilon = 1e-5;

test::ValueAndGradients on_host(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& grad_output) {
  return test::gradients_of([](const at::Tensor& a, const at::Tensor& b) { return rms_norm_on_host(a, b, kEpsilon); },
                            x, weight, grad_output);
}

TEST(RmsNorm, IsThatOfLibTorch) {
  torch::manual_seed(3);
  const std::vector<std::vector<std::int64_t>> shapes = {{1, 1}, {7, 5}, {65, 33}, {200, 512}, {3, 4, 16}, {0, 8}};
  for (const auto& shape : shapes) {
    const at::Tensor x = 3 * torch::randn(shape), weight = torch::randn({shape.back()}),
                     grad_output = torch::randn(shape);
    const test::ValueAndGradients found = on_host(x, weight, grad_output);
    const auto in_double = [&](const at::Tensor& a, const at::Tensor& b) {
      return at::rms_norm(a, {a.size(-1)}, b, kEpsilon);
    };
    const test::ValueAndGradients expected =
        test::gradients_of(in_double, x.to(at::kDouble), weight.to(at::kDouble), grad_output.to(at::kDouble));
    EXPECT_TRUE(found.value.to(at::kDouble).allclose(expected.value, 1e-5, 1e-5)) << x.sizes();
    EXPECT_TRUE(found.grad_first.to(at::kDouble).allclose(expected.grad_first, 1e-4, 1e-5)) << x.sizes();
    EXPECT_TRUE(found.grad_second.to(at::kDouble).allclose(expected.grad_second, 1e-4, 1e-4)) << x.sizes();
  }
}

TEST(RmsNorm, TakesTensorsThatLieApart) {
  torch::manual_seed(4);
  const at::Tensor x = torch::randn({6, 40}).narrow(1, 8, 16), weight = torch::randn({16});
  const at::Tensor grad_output = torch::randn({16, 6}).t();
  const test::ValueAndGradients found = on_host(x, weight, grad_output),
                                expected = on_host(x.clone(), weight, grad_output.contiguous());
  EXPECT_TRUE(found.value.equal(expected.value));
  EXPECT_TRUE(found.grad_first.equal(expected.grad_first));
}

TEST(RmsNorm, HasTheSameBitsForAnyNumberOfThreads) {
  torch::manual_seed(5);
  const at::Tensor x = torch::randn({500, 24}), weight = torch::randn({24}), grad_output = torch::randn({500, 24});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const test::ValueAndGradients alone = on_host(x, weight, grad_output);
  at::set_num_threads(3);
  const test::ValueAndGradients shared = on_host(x, weight, grad_output);
  at::set_num_threads(threads);
  EXPECT_TRUE(alone.value.equal(shared.value));
  EXPECT_TRUE(alone.grad_first.equal(shared.grad_first));
  EXPECT_TRUE(alone.grad_second.equal(shared.grad_second));
}

}  // namespace
}  // namespace lockstep::models
