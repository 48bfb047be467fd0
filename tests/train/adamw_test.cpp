#include "lockstep/train/adamw.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace lockstep {
namespace {

// The update written out as in Loshchilov and Hutter 2019, in double precision.
TEST(AdamW, FollowsThePublishedUpdate) {
  torch::manual_seed(3);
  const at::Tensor weight = torch::randn({5, 7}).requires_grad_();
  const at::Tensor bias = torch::randn({7}).requires_grad_();
  Hyperparameters hyperparameters;
  hyperparameters.weight_decay = 0.1;
  struct Reference {
    at::Tensor value, mean, square;
    double weight_decay;
  };
  std::vector<Reference> references;
  for (const auto& [tensor, decay] : {std::pair{weight, 0.1}, std::pair{bias, 0.0}}) {
    const at::Tensor value = tensor.detach().to(torch::kDouble).clone();
    references.push_back({value, torch::zeros_like(value), torch::zeros_like(value), decay});
  }
  const ParameterLayout layout({{"weight", weight}, {"bias", bias}});
  AdamW optimizer(layout, {{0, layout.size()}}, hyperparameters);
  for (int step = 1; step <= 5; ++step) {
    const double learning_rate = 0.01 * step;
    const at::Tensor gradients = torch::randn({layout.size()});
    for (std::size_t i = 0; i < 2; ++i) {
      const at::Tensor gradient = ParameterLayout::view(gradients, layout.entries()[i]).to(torch::kDouble);
      auto& [value, mean, square, decay] = references[i];
      value.mul_(1 - learning_rate * decay);
      mean.mul_(0.9).add_(gradient, 0.1);
      square.mul_(0.999).addcmul_(gradient, gradient, 0.001);
      const at::Tensor mean_hat = mean / (1 - std::pow(0.9, step));
      const at::Tensor square_hat = square / (1 - std::pow(0.999, step));
      value.sub_(learning_rate * mean_hat / (square_hat.sqrt() + 1e-8));
    }
    optimizer.step(gradients, learning_rate);
  }
  EXPECT_TRUE(weight.to(torch::kDouble).allclose(references[0].value, 1e-5, 1e-6));
  EXPECT_TRUE(bias.to(torch::kDouble).allclose(references[1].value, 1e-5, 1e-6));
}

TEST(AdamW, PartsOfTwoRanksAreTheWhole) {
  torch::manual_seed(4);
  const auto make_layout = [] {
    torch::manual_seed(5);
    return ParameterLayout(
        {{"weight", torch::randn({9, 7}).requires_grad_()}, {"bias", torch::randn({40}).requires_grad_()}});
  };
  const ParameterLayout whole = make_layout(), first = make_layout(), second = make_layout();
  AdamW optimizer(whole, {{0, whole.size()}}, {});
  AdamW of_first(first, {{0, 48}, {80, 96}}, {}), of_second(second, {{48, 80}, {96, whole.size()}}, {});
  for (int step = 0; step < 3; ++step) {
    const at::Tensor gradients = torch::randn({whole.size()});
    for (AdamW* part : {&optimizer, &of_first, &of_second}) part->step(gradients, 0.1);
  }
  const auto same = [&](const AdamW& part, std::int64_t begin, std::int64_t end) {
    return part.parameters().slice(0, begin, end).equal(optimizer.parameters().slice(0, begin, end));
  };
  EXPECT_TRUE(same(of_first, 0, 48) && same(of_first, 80, 96));
  EXPECT_TRUE(same(of_second, 48, 80) && same(of_second, 96, whole.size()));
  EXPECT_FALSE(same(of_first, 48, 80));
}

TEST(ClipGradients, ScalesDownOnlyWhatIsTooLong) {
  const auto communicator = make_communicator();
  const std::vector<Part> all = {{0, 2}};
  const at::Tensor gradients = torch::tensor({3.0F, 4.0F});
  EXPECT_DOUBLE_EQ(gradient_norm(gradients, all, *communicator), 5);
  EXPECT_DOUBLE_EQ(gradient_norm(gradients, {{0, 1}, {1, 2}}, *communicator), 5);
  clip_gradients(gradients, all, 5, 10);
  clip_gradients(gradients, all, 5, 0);
  EXPECT_TRUE(gradients.equal(torch::tensor({3.0F, 4.0F})));
  clip_gradients(gradients, {{1, 2}}, 5, 1);
  EXPECT_TRUE(gradients.allclose(torch::tensor({3.0F, 0.8F}), 1e-5));
}

}  // namespace
}  // namespace lockstep
