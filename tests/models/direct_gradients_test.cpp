#include "lockstep/models/direct_gradients.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/torch.h>

#include <memory>
#include <optional>

#include "lockstep/models/layers.h"
#include "lockstep/models/loss.h"

namespace lockstep::test {
namespace {

constexpr std::int64_t kWidth = 70;

// The gradient of a table that is embedding and head at once, after two passes, added to `before` if it is given.
at::Tensor gradient_of_table(const Embedding& table, const at::Tensor& ids, const std::optional<at::Tensor>& before) {
  table.weight.mutable_grad() = before ? before->clone() : at::Tensor();
  for (int pass = 0; pass < 2; ++pass) {
    const at::Tensor hidden = table.forward(ids).flatten(0, 1).tanh();
    const at::Tensor labels = (ids.flatten() + 1).remainder(table.weight.size(0));
    (negative_log_likelihood(hidden, {.weight = table.weight, .bias = {}}, labels) * 0.1).backward();
  }
  return table.weight.grad().clone();
}

class DirectGradientsOf : public testing::TestWithParam<std::int64_t> {};

TEST_P(DirectGradientsOf, ATiedTableAreThoseOfAutograd) {
  torch::manual_seed(1);
  const Embedding table(31, kWidth, /*padding_id=*/4);
  {
    const at::NoGradGuard no_grad;
    table.weight.normal_();
  }
  const at::Tensor ids = torch::randint(31, {2, GetParam()}, torch::kLong);
  const at::Tensor before = torch::randn({31, kWidth});
  const at::Tensor expected = gradient_of_table(table, ids, before);
  const DirectGradients direct_gradients;
  const at::Tensor found = gradient_of_table(table, ids, before);
  EXPECT_TRUE(at::allclose(found, expected, 1e-4, 1e-4)) << (found - expected).abs().max();
  const at::Tensor anew = gradient_of_table(table, ids, std::nullopt);
  EXPECT_TRUE(at::allclose(anew, expected - before, 1e-4, 1e-4)) << (anew - expected + before).abs().max();
}

INSTANTIATE_TEST_SUITE_P(Lengths, DirectGradientsOf, testing::Values(7, kHeadChunk));  // one chunk of the head, and two

TEST(DirectGradients, ReachTheHooksOfTheParameter) {
  const Embedding table(5, kWidth);
  table.weight.mutable_grad() = torch::zeros({5, kWidth});
  int calls = 0;
  auto node = torch::autograd::impl::grad_accumulator(table.weight);
  node->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
      [&](const torch::autograd::variable_list& outputs, const torch::autograd::variable_list&) {
        ++calls;
        EXPECT_GT(table.weight.grad().abs().sum().item<double>(), 0);
        return outputs;
      }));
  const DirectGradients direct_gradients;
  table.forward(torch::tensor({1, 2}, torch::kLong)).sum().backward();
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace lockstep::test
