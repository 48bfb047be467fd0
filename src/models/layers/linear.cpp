#include "lockstep/models/layers/linear.h"

#include <utility>
#include <vector>

#include "lockstep/models/layers/gradients_in_place.h"
#include "lockstep/models/layers/mixed_precision.h"

namespace lockstep::models {
namespace {

// Computes x W^T + b or x W + b for x [tokens, features], with a backward that adds to the gradients of parameters in
// place.
class Product : public torch::autograd::Function<Product> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, bool is_transposed, const Operand& operand) {
    torch::autograd::variable_list saved = {weight, bias.value_or(at::Tensor())};
    hold(operand, *context, saved);
    context->save_for_backward(std::move(saved));
    context->saved_data["is_transposed"] = is_transposed;
    const at::Tensor matrix = is_transposed ? weight : weight.t();
    return bias ? at::addmm(*bias, x, matrix) : at::mm(x, matrix);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &weight = saved[0], &bias = saved[1];
    const bool is_transposed = context->saved_data["is_transposed"].toBool();
    const at::Tensor& grad_output = gradients[0];
    at::Tensor grad_x, grad_weight, grad_bias;
    if (context->needs_input_grad(0)) grad_x = at::mm(grad_output, is_transposed ? weight.t() : weight);
    if (context->needs_input_grad(1)) {
      const at::Tensor x = load_operand(*context, saved, 2);
      const at::Tensor &left = is_transposed ? x : grad_output, &right = is_transposed ? grad_output : x;
      if (at::Tensor sum = gradient_to_add_to(weight); sum.defined()) {
        sum.addmm_(left.t(), right);
      } else {
        grad_weight = at::mm(left.t(), right);
      }
    }
    if (bias.defined() && context->needs_input_grad(2)) {
      grad_bias = grad_output.sum(0);
      if (at::Tensor sum = gradient_to_add_to(bias); sum.defined()) {
        sum.add_(grad_bias);
        grad_bias.reset();
      }
    }
    return {grad_x, grad_weight, grad_bias, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor Projection::forward(const Operand& operand, Pass& pass) const {
  const at::Tensor y = project_for_training(operand, pass);
  if (!low_rank) return y;
  const at::Tensor x = pass.dropout(operand.x, low_rank->dropout);
  return y + at::linear(at::linear(x, low_rank->a), low_rank->b) * low_rank->scale;
}

at::Tensor Projection::project_for_training(const Operand& operand, const Pass& pass) const {
  const at::Tensor& x = operand.x;
  if (pass.rounded_weights != nullptr) {
    return linear_in_mixed_precision(operand, weight, bias, is_transposed(), pass);
  }
  if (!pass.adds_gradients_in_place || !weight.requires_grad() || x.dim() != 2) return project(x);
  return Product::apply(x, weight, bias.defined() ? std::optional(bias) : std::nullopt, is_transposed(), operand);
}

Linear::Linear(std::int64_t in, std::int64_t out, bool has_bias) {
  weight = register_parameter("weight", torch::empty({out, in}));
  if (has_bias) bias = register_parameter("bias", torch::zeros({out}));
}

Conv1D::Conv1D(std::int64_t in, std::int64_t out) {
  weight = register_parameter("weight", torch::empty({in, out}));
  bias = register_parameter("bias", torch::zeros({out}));
}

at::Tensor Conv1D::project(const at::Tensor& x) const {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(1);
  return at::addmm(bias, x.reshape({-1, x.size(-1)}), weight).view(shape);
}

}  // namespace lockstep::models
