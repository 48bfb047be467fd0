#include <gtest/gtest.h>
#include <torch/torch.h>

#include "lockstep/sharding/flat_parameters.h"
#include "lockstep/train/optimizers/optimizer.h"

namespace lockstep::train {
namespace {

std::unique_ptr<Optimizer> adamw(const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
                                 const std::vector<at::Tensor>& own, const Hyperparameters& hyperparameters = {}) {
  return make_optimizer({layout, ownership, own, hyperparameters, make_communicator()});
}

// Writes out the update of Loshchilov and Hutter 2019 in double precision.
TEST(AdamW, FollowsThePublishedUpdate) {
  torch::manual_seed(3);
  const at::Tensor weight = torch::randn({5, 7}).requires_grad_();
  const at::Tensor bias = torch::randn({7}).requires_grad_();
  Hyperparameters hyperparameters;
  hyperparameters.weight_decay = 0.1;
  struct Published {
    at::Tensor value, mean, square;
    double weight_decay;
  };
  std::vector<Published> references;
  for (const auto& [tensor, decay] : {std::pair{bias, 0.0}, std::pair{weight, 0.1}}) {
    const at::Tensor value = tensor.detach().to(torch::kDouble).clone();
    references.push_back({value, torch::zeros_like(value), torch::zeros_like(value), decay});
  }
  const sharding::ParameterLayout layout({{"weight", weight}, {"bias", bias}});
  const sharding::FlatParameters parameters(layout, sharding::Ownership::replicated(layout), make_communicator(),
                                            false);
  const auto optimizer = adamw(layout, sharding::Ownership::replicated(layout), parameters.own(), hyperparameters);
  for (int step = 1; step <= 5; ++step) {
    const double learning_rate = 0.01 * step;
    const at::Tensor gradients = torch::randn({layout.buckets().front().size});
    for (std::size_t i = 0; i < 2; ++i) {
      const at::Tensor gradient = sharding::ParameterLayout::view(gradients, layout.entries()[i]).to(torch::kDouble);
      auto& [value, mean, square, decay] = references[i];
      value.mul_(1 - learning_rate * decay);
      mean.mul_(0.9).add_(gradient, 0.1);
      square.mul_(0.999).addcmul_(gradient, gradient, 0.001);
      const at::Tensor mean_hat = mean / (1 - std::pow(0.9, step));
      const at::Tensor square_hat = square / (1 - std::pow(0.999, step));
      value.sub_(learning_rate * mean_hat / (square_hat.sqrt() + 1e-8));
    }
    optimizer->step({gradients}, learning_rate);
  }
  EXPECT_TRUE(bias.to(torch::kDouble).allclose(references[0].value, 1e-5, 1e-6));
  EXPECT_TRUE(weight.to(torch::kDouble).allclose(references[1].value, 1e-5, 1e-6));
}

// Splits the buffer at the start of the range with weight decay, within it, and at its end.
TEST(AdamW, PartsOfTwoRanksAreTheWhole) {
  torch::manual_seed(4);
  const sharding::ParameterLayout layout(
      {{"weight", torch::randn({9, 7}).requires_grad_()}, {"bias", torch::randn({40}).requires_grad_()}});
  const std::int64_t size = layout.buckets().front().size;
  ASSERT_EQ(size, 112);
  const at::Tensor start = torch::randn({size});
  for (const std::int64_t border : {std::int64_t{48}, std::int64_t{64}, std::int64_t{80}, size}) {
    const at::Tensor whole = start.clone(), first = start.narrow(0, 0, border).clone(),
                     second = start.narrow(0, border, size - border).clone();
    const auto optimizer = adamw(layout, {false, {{0, size}}}, {whole});
    const auto of_first = adamw(layout, {true, {{0, border}}}, {first});
    const auto of_second = adamw(layout, {true, {{border, size}}}, {second});
    for (int step = 0; step < 3; ++step) {
      const at::Tensor gradients = torch::randn({size});
      optimizer->step({gradients}, 0.1);
      of_first->step({gradients.narrow(0, 0, border)}, 0.1);
      of_second->step({gradients.narrow(0, border, size - border)}, 0.1);
    }
    EXPECT_TRUE(torch::cat({first, second}).equal(whole)) << border;
    EXPECT_FALSE(whole.equal(start));
  }
}

}  // namespace
}  // namespace lockstep::train
