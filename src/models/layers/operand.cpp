#include "lockstep/models/layers/operand.h"

#include "lockstep/models/layers/pass.h"

namespace lockstep::models {

at::Tensor Recipe::recompute(const std::vector<at::Tensor>& inputs) {
  const at::NoGradGuard no_graph;
  if (!value_.defined()) value_ = compute_(inputs);
  return --expected_ > 0 ? value_ : std::exchange(value_, {});
}

Operand Operand::repeatable(std::vector<at::Tensor> inputs, const Pass& pass, Recipe::Compute compute) {
  Operand operand(compute(inputs));
  if (!pass.adds_gradients_in_place || !at::GradMode::is_enabled()) return operand;
  operand.inputs = std::move(inputs);
  operand.recipe = c10::make_intrusive<Recipe>(std::move(compute));
  return operand;
}

Operand Operand::then(const std::function<at::Tensor(const at::Tensor&)>& f) const {
  Operand operand(f(x));
  if (!recipe) return operand;
  operand.inputs = inputs;
  operand.recipe = c10::make_intrusive<Recipe>(
      [before = recipe, f](const std::vector<at::Tensor>& again) { return f(before->compute(again)); });
  return operand;
}

void save_operand(const Operand& operand, torch::autograd::AutogradContext& context,
                  torch::autograd::variable_list& saved) {
  if (!operand.recipe) {
    saved.push_back(operand.x);
    return;
  }
  operand.recipe->add_consumer();
  context.saved_data["recipe"] = c10::IValue::make_capsule(operand.recipe);
  saved.insert(saved.end(), operand.inputs.begin(), operand.inputs.end());
}

at::Tensor load_operand(torch::autograd::AutogradContext& context, const torch::autograd::variable_list& saved,
                        std::size_t first) {
  const auto found = context.saved_data.find("recipe");
  if (found == context.saved_data.end()) return saved[first];
  const auto capsule = found->second.toCapsule();
  return static_cast<Recipe&>(*capsule).recompute({saved.begin() + static_cast<std::ptrdiff_t>(first), saved.end()});
}

}  // namespace lockstep::models
