#include "lockstep/models/layers/layer_observer.h"

#include <torch/torch.h>
#include <utility>

namespace lockstep::models {
namespace {

// Holds what the recomputation of a layer needs.
struct Recomputation : torch::CustomClassHolder {
  // `before` is the pass in its state before the layer. On recomputation, no observer is called, and no head runs that
  // would need the loss scale.
  Recomputation(LayerFunction function, const Pass& before) : compute(std::move(function)), pass(before) {
    pass.observer = nullptr;
    pass.loss_scale.reset();
  }

  LayerFunction compute;
  Pass pass;
  at::Tensor result;  // until RecomputedLayer::forward() takes it
};

std::vector<at::Tensor> detached(const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs) leaves.push_back(input.detach().set_requires_grad(input.requires_grad()));
  return leaves;
}

class RecomputedLayer : public torch::autograd::Function<RecomputedLayer> {
 public:
  // `anchor` requires a gradient, so that the result does even if no input does.
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const c10::intrusive_ptr<Recomputation>& recomputation, at::TensorList inputs,
                            const at::Tensor& /*anchor*/) {
    context->saved_data["recomputation"] = c10::IValue::make_capsule(recomputation);
    context->save_for_backward(inputs.vec());
    return std::exchange(recomputation->result, {});
  }

  // The nested backward pass accumulates the gradients of parameters.
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto capsule = context->saved_data["recomputation"].toCapsule();
    const auto& recomputation = static_cast<const Recomputation&>(*capsule);
    const std::vector<at::Tensor> inputs = detached(context->get_saved_variables());
    Pass pass = recomputation.pass;
    at::Tensor result;
    {
      const at::AutoGradMode with_gradients(true);
      result = recomputation.compute(inputs, pass);
    }
    torch::autograd::backward({result}, {gradients[0]});
    torch::autograd::variable_list of_arguments = {at::Tensor()};
    for (const at::Tensor& input : inputs) of_arguments.push_back(input.grad());
    of_arguments.emplace_back();
    return of_arguments;
  }
};

at::Tensor recomputed_later(const std::vector<at::Tensor>& inputs, Pass& pass, const LayerFunction& compute) {
  auto recomputation = c10::make_intrusive<Recomputation>(compute, pass);
  // Computes with gradients enabled, exactly as the recomputation will. The graph is freed at the end of this scope.
  const at::Tensor y = compute(detached(inputs), pass);
  if (!y.requires_grad()) return y;
  recomputation->result = y.detach();
  return RecomputedLayer::apply(recomputation, at::TensorList(inputs), at::empty({0}, y.options()).requires_grad_());
}

// Replaces inputs that layers share with aliases, so that their gradients are first summed within a layer, as when it
// is recomputed. The order of summation is then the same, and so are the bits.
std::vector<at::Tensor> with_sums_by_layer(const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> aliases = inputs;
  for (std::size_t i = 1; i < aliases.size(); ++i) aliases[i] = aliases[i].alias();
  return aliases;
}

}  // namespace

at::Tensor run_layer(Pass& pass, std::size_t layer, const std::vector<at::Tensor>& inputs,
                     const LayerFunction& compute) {
  if (pass.observer != nullptr) pass.observer->before_layer(layer, inputs.front());
  const bool recomputes = pass.recomputes_layers && at::GradMode::is_enabled();
  at::Tensor y = recomputes ? recomputed_later(inputs, pass, compute) : compute(with_sums_by_layer(inputs), pass);
  if (pass.observer != nullptr) pass.observer->after_layer(layer, y);
  return y;
}

}  // namespace lockstep::models
