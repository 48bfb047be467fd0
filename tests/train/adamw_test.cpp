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
  AdamW optimizer(layout, hyperparameters);
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

TEST(ClipGradientNorm, ScalesDownOnlyWhatIsTooLong) {
  at::Tensor gradients = torch::tensor({3.0F, 4.0F});
  EXPECT_DOUBLE_EQ(clip_gradient_norm(gradients, 10), 5);
  EXPECT_TRUE(gradients.equal(torch::tensor({3.0F, 4.0F})));
  EXPECT_DOUBLE_EQ(clip_gradient_norm(gradients, 0), 5);
  EXPECT_TRUE(gradients.equal(torch::tensor({3.0F, 4.0F})));
  EXPECT_DOUBLE_EQ(clip_gradient_norm(gradients, 1), 5);
  EXPECT_TRUE(gradients.allclose(torch::tensor({0.6F, 0.8F}), 1e-5));
}

}  // namespace
}  // namespace lockstep
