#include "lockstep/models/layers/operand.h"

#include <gtest/gtest.h>

#include <memory>

#include "lockstep/models/layers/linear.h"
#include "models/layers/activation.h"

namespace lockstep::models {
namespace {

Recipe::Compute counted(int& calls) {
  return [&calls](const std::vector<at::Tensor>& inputs) {
    ++calls;
    return inputs[0] * 2;
  };
}

TEST(Operand, IsRepeatedOnceForAllLayersThatTakeIt) {
  const at::Tensor x = torch::randn({3, 4}).requires_grad_();
  constexpr ProjectionUse kUse{ProjectionRole::kMlpUp, TokenStream::kInput};
  const Linear first(4, 5, true, kUse), second(4, 5, false, kUse);
  for (const Linear* layer : {&first, &second}) {
    torch::NoGradGuard no_grad;
    layer->weight.normal_();
  }
  int calls = 0;
  Pass pass{.adds_gradients_in_place = true};
  at::Tensor y;
  c10::weak_intrusive_ptr<c10::TensorImpl> memory(c10::intrusive_ptr<c10::TensorImpl>{});
  {
    const Operand operand = Operand::repeatable({x}, pass, counted(calls));
    memory = c10::weak_intrusive_ptr<c10::TensorImpl>(operand.x.getIntrusivePtr());
    y = first.forward(operand, pass) * second.forward(operand, pass);
  }
  EXPECT_TRUE(memory.expired());  // nothing holds it until backward
  EXPECT_EQ(calls, 1);
  y.sum().backward();
  EXPECT_EQ(calls, 2);
  const at::Tensor a = first.weight.detach(), b = second.weight.detach(), doubled = 2 * x.detach();
  const at::Tensor grad_first = doubled.mm(b.t()), grad_second = doubled.mm(a.t()) + first.bias.detach();
  EXPECT_TRUE(first.weight.grad().allclose(grad_first.t().mm(doubled)));
  EXPECT_TRUE(second.weight.grad().allclose(grad_second.t().mm(doubled)));
  EXPECT_TRUE(x.grad().allclose(2 * (grad_first.mm(a) + grad_second.mm(b)), 1e-4, 1e-5));
}

TEST(Operand, IsHeldWhereNobodyTrains) {
  int calls = 0;
  const at::Tensor x = torch::randn({3, 4}).requires_grad_();
  EXPECT_FALSE(Operand::repeatable({x}, {}, counted(calls)).recipe);
  const Pass pass{.adds_gradients_in_place = true};
  EXPECT_TRUE(Operand::repeatable({x}, pass, counted(calls)).recipe);
  const torch::NoGradGuard no_grad;
  EXPECT_FALSE(Operand::repeatable({x}, pass, counted(calls)).recipe);
}

TEST(Operand, RepeatsWhatWasDoneToIt) {
  const Pass pass{.adds_gradients_in_place = true};
  int calls = 0;
  const at::Tensor x = torch::randn({3, 4}).requires_grad_();
  const Operand operand =
      Operand::repeatable({x}, pass, counted(calls)).then([](const at::Tensor& y) { return y + 1; });
  EXPECT_TRUE(operand.x.equal(2 * x + 1));
  operand.recipe->add_consumer();
  EXPECT_TRUE(operand.recipe->recompute({x}).equal(operand.x));
}

class Gate : public testing::TestWithParam<const char*> {};

TEST_P(Gate, HasTheGradientsOfItsParts) {
  torch::manual_seed(1);
  const Activation activation = activation_by_name(GetParam());
  const at::Tensor grad_output = torch::randn({5, 6});
  const at::Tensor gate = torch::randn({5, 6}).requires_grad_(), up = torch::randn({5, 6}).requires_grad_();
  const at::Tensor y = activation.gated(gate, up, {}).x;
  y.backward(grad_output);
  const at::Tensor same_gate = gate.detach().requires_grad_(), same_up = up.detach().requires_grad_();
  const at::Tensor expected = activation.operand(same_gate, {}).x * same_up;
  expected.backward(grad_output);
  EXPECT_TRUE(y.equal(expected));
  EXPECT_TRUE(gate.grad().allclose(same_gate.grad()));
  EXPECT_TRUE(up.grad().allclose(same_up.grad()));
}

INSTANTIATE_TEST_SUITE_P(Activations, Gate, testing::Values("silu", "gelu_new", "relu", "linear", "quick_gelu"));

}  // namespace
}  // namespace lockstep::models
