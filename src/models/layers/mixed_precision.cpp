#include "lockstep/models/layers/mixed_precision.h"

#include <torch/torch.h>

#include <optional>
#include <vector>

#include "lockstep/models/layers/gradients_in_place.h"

namespace lockstep::models {
namespace {

class RoundedLinear : public torch::autograd::Function<RoundedLinear> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, bool is_transposed, const Operand& operand,
                            const Pass& pass) {
    RoundedWeights& weights = *pass.rounded_weights;
    const at::Tensor rows = x.reshape({-1, x.size(-1)}).to(weights.type());
    const at::Tensor rounded = weights.of(weight);
    const at::Tensor inwards = is_transposed ? rounded : rounded.t();  // [in, out]
    const at::Tensor y = bias ? at::addmm(bias->to(weights.type()), rows, inwards) : at::mm(rows, inwards);
    torch::autograd::variable_list saved;
    if (pass.adds_gradients_in_place) saved.push_back(weight);
    if (weight.requires_grad()) hold(operand.recipe ? operand : Operand(rows), *context, saved);
    context->save_for_backward(std::move(saved));
    context->saved_data["first_held"] = static_cast<std::int64_t>(pass.adds_gradients_in_place ? 1 : 0);
    context->saved_data["weight"] = weights.keeps() ? rounded : weight.detach();
    context->saved_data["type"] = static_cast<std::int64_t>(weights.type());
    context->saved_data["is_transposed"] = is_transposed;
    context->saved_data["trains_bias"] = bias && bias->requires_grad();
    std::vector<std::int64_t> shape = x.sizes().vec();
    shape.back() = y.size(1);
    return y.to(at::kFloat).view(shape);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const bool is_transposed = context->saved_data["is_transposed"].toBool();
    const auto type = static_cast<at::ScalarType>(context->saved_data["type"].toInt());
    const at::Tensor weight = context->saved_data["weight"].toTensor().to(type);
    const at::Tensor of_rows = gradients[0].reshape({-1, gradients[0].size(-1)});
    const at::Tensor rounded = of_rows.to(type);
    std::vector<std::int64_t> shape = gradients[0].sizes().vec();
    shape.back() = weight.size(is_transposed ? 0 : 1);
    at::Tensor grad_x, grad_weight, grad_bias;
    if (context->needs_input_grad(0)) {
      grad_x = at::mm(rounded, is_transposed ? weight.t() : weight).to(at::kFloat).view(shape);
    }
    if (context->needs_input_grad(1)) {
      const auto saved = context->get_saved_variables();
      const auto first_held = static_cast<std::size_t>(context->saved_data["first_held"].toInt());
      const at::Tensor x = load_operand(*context, saved, first_held);
      const at::Tensor rows = x.reshape({-1, x.size(-1)}).to(type);
      const at::Tensor product = is_transposed ? at::mm(rows.t(), rounded) : at::mm(rounded.t(), rows);
      if (at::Tensor sum = first_held == 0 ? at::Tensor() : gradient_to_add_to(saved[0]); sum.defined()) {
        sum.add_(product);
      } else {
        grad_weight = product.to(at::kFloat);
      }
    }
    if (context->saved_data["trains_bias"].toBool()) grad_bias = of_rows.sum(0);
    return {grad_x, grad_weight, grad_bias, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

bool cpu_has([[maybe_unused]] at::ScalarType type) {
#ifdef __x86_64__
  if (type == at::kHalf) return __builtin_cpu_supports("avx512fp16") != 0;
  if (type == at::kBFloat16) return __builtin_cpu_supports("avx512bf16") != 0;
#endif
  return true;
}

at::Tensor RoundedWeights::of(const at::Tensor& weight) {
  const at::NoGradGuard no_grad;
  if (!keeps_) return weight.to(type_);
  at::Tensor& kept = kept_[weight.unsafeGetTensorImpl()];
  if (!kept.defined()) kept = weight.to(type_);
  return kept;
}

at::Tensor linear_in_mixed_precision(const Operand& operand, const at::Tensor& weight, const at::Tensor& bias,
                                     bool is_transposed, const Pass& pass) {
  return RoundedLinear::apply(operand.x, weight, bias.defined() ? std::optional(bias) : std::nullopt, is_transposed,
                              operand, pass);
}

}  // namespace lockstep::models
