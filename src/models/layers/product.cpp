#include "models/layers/product.h"

#include <torch/torch.h>

#include <optional>
#include <utility>
#include <vector>

#include "lockstep/models/layers/mixed_precision.h"

namespace lockstep::models {
namespace {

// Returns x [..., features] as rows [n, features] of the given type: x itself if it is that already, since each
// operation that changes nothing costs a small model time in every layer.
at::Tensor as_rows(const at::Tensor& x, at::ScalarType type) {
  const at::Tensor rows = x.dim() == 2 ? x : x.reshape({-1, x.size(-1)});
  return rows.scalar_type() == type ? rows : rows.to(type);
}

// Returns `rows` [n, features] in fp32 and in the shape of `like` [..., any].
at::Tensor shaped_like(const at::Tensor& rows, const at::Tensor& like) {
  if (like.dim() == 2) return rows.scalar_type() == at::kFloat ? rows : rows.to(at::kFloat);
  std::vector<std::int64_t> shape = like.sizes().vec();
  shape.back() = rows.size(1);
  return rows.to(at::kFloat).view(shape);
}

class LinearProduct : public torch::autograd::Function<LinearProduct> {
  // What backward() needs besides tensors that autograd saves.
  struct Computation : torch::CustomClassHolder {
    at::Tensor rounded_weight;  // undefined if the weight itself was the factor
    at::ScalarType type = at::kFloat;
    bool is_transposed = false, adds_in_place = false;
  };

 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, bool is_transposed, const Operand& operand,
                            const Pass& pass) {
    RoundedWeights* const rounded = pass.rounded_weights;
    const at::ScalarType type = rounded == nullptr ? x.scalar_type() : rounded->type();
    const at::Tensor rows = as_rows(x, type);
    const at::Tensor factor = rounded == nullptr ? weight : rounded->get(weight);
    const at::Tensor inwards = is_transposed ? factor : factor.t();  // [in, out]
    const at::Tensor y = !bias                ? at::mm(rows, inwards)
                         : rounded == nullptr ? at::addmm(*bias, rows, inwards)
                                              : at::addmm(bias->to(type), rows, inwards);

    torch::autograd::variable_list saved = {weight, bias.value_or(at::Tensor())};
    if (weight.requires_grad())
      save_operand(operand.recipe || rounded == nullptr ? operand : Operand(rows), *context, saved);
    context->save_for_backward(std::move(saved));
    auto computation = c10::make_intrusive<Computation>();
    // Weights that are not kept rounded are freed with their layer; they are rounded again in the backward pass.
    if (rounded != nullptr) computation->rounded_weight = rounded->keeps() ? factor : weight.detach();
    computation->type = type;
    computation->is_transposed = is_transposed;
    computation->adds_in_place = pass.adds_gradients_in_place;
    context->saved_data["computation"] = c10::IValue::make_capsule(std::move(computation));
    return shaped_like(y, x);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &weight = saved[0], &bias = saved[1];
    const auto capsule = context->saved_data["computation"].toCapsule();
    const auto& computation = static_cast<const Computation&>(*capsule);
    const bool is_transposed = computation.is_transposed;
    const at::ScalarType type = computation.type;
    const auto sum_of = [&](const at::Tensor& parameter) {
      return computation.adds_in_place ? gradient_to_add_to(parameter) : at::Tensor();
    };
    const at::Tensor grad_output = as_rows(gradients[0], gradients[0].scalar_type());
    const at::Tensor rounded = as_rows(grad_output, type);
    at::Tensor grad_x, grad_weight, grad_bias;
    if (context->needs_input_grad(0)) {
      const at::Tensor factor = computation.rounded_weight.defined() ? computation.rounded_weight.to(type) : weight;
      grad_x = shaped_like(at::mm(rounded, is_transposed ? factor.t() : factor), gradients[0]);
    }
    if (context->needs_input_grad(1)) {
      const at::Tensor rows = as_rows(load_operand(*context, saved, 2), type);
      const at::Tensor &left = is_transposed ? rows : rounded, &right = is_transposed ? rounded : rows;
      at::Tensor sum = sum_of(weight);
      add_product(sum.defined() ? sum : grad_weight, left.t(), right);
    }
    if (bias.defined() && context->needs_input_grad(2)) {
      grad_bias = grad_output.sum(0);
      if (at::Tensor sum = sum_of(bias); sum.defined()) {
        sum.add_(grad_bias);
        grad_bias.reset();
      }
    }
    return {grad_x, grad_weight, grad_bias, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor multiply(const Operand& operand, const at::Tensor& weight, const at::Tensor& bias, bool is_transposed,
                    const Pass& pass) {
  const std::optional<at::Tensor> added = bias.defined() ? std::optional(bias) : std::nullopt;
  return LinearProduct::apply(operand.x, weight, added, is_transposed, operand, pass);
}

void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b, double factor) {
  if (!sum.defined()) {
    sum = at::mm(a, b).to(at::kFloat);
  } else if (a.scalar_type() == sum.scalar_type()) {
    sum.addmm_(a, b, /*beta=*/1, factor);
  } else {
    sum.add_(at::mm(a, b), factor);
  }
}

at::Tensor gradient_to_add_to(const at::Tensor& parameter) {
  return parameter.is_leaf() ? parameter.grad() : at::Tensor();
}

}  // namespace lockstep::models
