#include "lockstep/models/layers/layer_observer.h"

#include <torch/torch.h>
#include <optional>
#include <utility>

#include "lockstep/models/layers/gradients_in_place.h"
#include "lockstep/models/layers/mixed_precision.h"

namespace lockstep::models {
namespace {

// Holds what the recomputation of a layer needs. That includes the guards of the forward thread, because on a GPU
// autograd runs in its own threads.
struct Recomputation : torch::CustomClassHolder {
  Recomputation(LayerFunction function, const Dropout& before) : compute(std::move(function)), dropout(before) {}

  LayerFunction compute;
  Dropout dropout;  // its state before the layer
  RoundedWeights* const rounded_weights = MixedPrecision::current();
  const bool adds_gradients_in_place = GradientsInPlace::active();
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
    Dropout dropout = recomputation.dropout;
    at::Tensor result;
    {
      const at::AutoGradMode with_gradients(true);
      const MixedPrecision products(recomputation.rounded_weights);
      std::optional<GradientsInPlace> in_place;
      if (recomputation.adds_gradients_in_place) in_place.emplace();
      result = recomputation.compute(inputs, dropout);
    }
    torch::autograd::backward({result}, {gradients[0]});
    torch::autograd::variable_list of_arguments = {at::Tensor()};
    for (const at::Tensor& input : inputs) of_arguments.push_back(input.grad());
    of_arguments.emplace_back();
    return of_arguments;
  }
};

at::Tensor recomputed_later(const std::vector<at::Tensor>& inputs, Dropout& dropout, const LayerFunction& compute) {
  auto recomputation = c10::make_intrusive<Recomputation>(compute, dropout);
  // Computes with gradients enabled, exactly as the recomputation will. The graph is freed at the end of this scope.
  const at::Tensor y = compute(detached(inputs), dropout);
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

at::Tensor run_layer(LayerObserver* observer, std::size_t layer, const std::vector<at::Tensor>& inputs,
                     Dropout& dropout, const LayerFunction& compute) {
  if (observer != nullptr) observer->before_layer(layer, inputs.front());
  const bool recomputes = observer != nullptr && observer->recomputes_layers() && at::GradMode::is_enabled();
  at::Tensor y = recomputes ? recomputed_later(inputs, dropout, compute) : compute(with_sums_by_layer(inputs), dropout);
  if (observer != nullptr) observer->after_layer(layer, y);
  return y;
}

}  // namespace lockstep::models
