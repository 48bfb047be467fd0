#include <gtest/gtest.h>
#include <torch/torch.h>

#include "lockstep/train/optimizers/optimizer.h"

namespace lockstep::train {
namespace {

std::unique_ptr<Optimizer> lion(const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
                                const std::vector<at::Tensor>& own) {
  Hyperparameters hyperparameters;
  hyperparameters.optim = job::Optim::kLion;
  hyperparameters.weight_decay = 0.1;
  hyperparameters.adam_beta2 = 0.99;
  return make_optimizer({layout, ownership, own, hyperparameters, make_communicator()});
}

// Writes out the update of Chen et al. 2023, for more elements than a thread updates at a time.
TEST(Lion, FollowsThePublishedUpdate) {
  torch::manual_seed(3);
  const sharding::ParameterLayout layout(
      {{"weight", torch::randn({300, 257}).requires_grad_()}, {"bias", torch::randn({70000}).requires_grad_()}});
  const std::int64_t size = layout.buckets().front().size;
  const at::Tensor own = torch::randn({size});
  at::Tensor expected = own.clone(), momentum = torch::zeros({size});
  at::Tensor decay = torch::full({size}, 0.1);
  decay.slice(0, 0, layout.entries()[1].offset).zero_();
  const auto optimizer = lion(layout, sharding::Ownership::replicated(layout), {own});
  for (int step = 1; step <= 5; ++step) {
    const double rate = 0.01 * step;
    at::Tensor gradients = torch::randn({size});
    gradients.slice(0, 0, 100).zero_();  // the sign is 0 at first
    const at::Tensor direction = (0.9 * momentum + 0.1 * gradients).sign();
    expected = expected - rate * (direction + decay * expected);
    momentum = 0.99 * momentum + 0.01 * gradients;
    optimizer->step({gradients}, rate);
  }
  EXPECT_TRUE(own.allclose(expected, 1e-5, 1e-6));
  EXPECT_TRUE(own[50].allclose(expected[50], 1e-5, 0));
}

TEST(Lion, PartsOfTwoRanksAreTheWhole) {
  torch::manual_seed(4);
  const sharding::ParameterLayout layout(
      {{"weight", torch::randn({9, 7}).requires_grad_()}, {"bias", torch::randn({40}).requires_grad_()}});
  const std::int64_t size = layout.buckets().front().size;
  const at::Tensor start = torch::randn({size});
  for (const std::int64_t border : {std::int64_t{48}, std::int64_t{64}, std::int64_t{80}, size}) {
    const at::Tensor whole = start.clone(), first = start.narrow(0, 0, border).clone(),
                     second = start.narrow(0, border, size - border).clone();
    const auto optimizer = lion(layout, {false, {{0, size}}}, {whole});
    const auto of_first = lion(layout, {true, {{0, border}}}, {first});
    const auto of_second = lion(layout, {true, {{border, size}}}, {second});
    for (int step = 0; step < 3; ++step) {
      const at::Tensor gradients = torch::randn({size});
      of_first->step({gradients.narrow(0, 0, border).clone()}, 0.1);
      of_second->step({gradients.narrow(0, border, size - border).clone()}, 0.1);
      optimizer->step({gradients}, 0.1);
    }
    EXPECT_TRUE(torch::cat({first, second}).equal(whole)) << border;
    EXPECT_FALSE(whole.equal(start));
  }
}

}  // namespace
}  // namespace lockstep::train
