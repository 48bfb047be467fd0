#include "models/layers/activation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <array>
#include <numbers>
#include <vector>

#include "lockstep/core/error.h"
#include "models/kernels/swish.h"
#include "models/kernels/vector_math.h"

namespace lockstep::models {
namespace {

using Holds = Activation::Holds;

at::Tensor relu(const at::Tensor& x) { return at::relu(x); }
at::Tensor silu(const at::Tensor& x) { return at::silu(x); }
at::Tensor tanh(const at::Tensor& x) { return at::tanh(x); }
at::Tensor gelu(const at::Tensor& x) { return at::gelu(x); }
at::Tensor gelu_tanh(const at::Tensor& x) { return at::gelu(x, "tanh"); }
at::Tensor gelu_10(const at::Tensor& x) { return at::clamp(at::gelu(x), -10, 10); }
at::Tensor quick_gelu(const at::Tensor& x) { return x * at::sigmoid(1.702 * x); }
at::Tensor hardswish(const at::Tensor& x) { return at::hardswish(x); }
at::Tensor laplace(const at::Tensor& x) {
  return 0.5 * (1 + at::erf((x - 0.707107) / (0.282095 * std::numbers::sqrt2)));
}
at::Tensor leaky_relu(const at::Tensor& x) { return at::leaky_relu(x); }
at::Tensor linear(const at::Tensor& x) { return x; }
at::Tensor mish(const at::Tensor& x) { return at::mish(x); }
at::Tensor relu_squared(const at::Tensor& x) { return at::square(at::relu(x)); }
at::Tensor relu6(const at::Tensor& x) { return at::clamp(x, 0, 6); }
at::Tensor sigmoid(const at::Tensor& x) { return at::sigmoid(x); }
at::Tensor sqrt_softplus(const at::Tensor& x) { return at::sqrt(at::softplus(x)); }

// The tanh approximation of GELU: 2 sqrt(2 / pi), and 0.044715 times that.
constexpr Swish kGeluTanh{1.59576912F, 0.0713548163F};

// The entries of transformers' ACT2FN, except the two that have parameters (prelu, xielu).
struct KnownActivation {
  const char* name;
  Activation activation;
};
const std::array kActivations = {
    KnownActivation{"relu", {&relu, Holds::kResult}},
    KnownActivation{"gelu", {&gelu, Holds::kInput}},
    KnownActivation{"gelu_new", {&gelu_tanh, Holds::kInput, kGeluTanh}},
    KnownActivation{"gelu_pytorch_tanh", {&gelu_tanh, Holds::kInput, kGeluTanh}},
    KnownActivation{"silu", {&silu, Holds::kInput, Swish{}}},
    KnownActivation{"swish", {&silu, Holds::kInput, Swish{}}},
    KnownActivation{"tanh", {&tanh, Holds::kResult}},
    KnownActivation{"quick_gelu", {&quick_gelu, Holds::kInput, Swish{1.702F}}},
    KnownActivation{"gelu_fast", {&gelu_tanh, Holds::kInput, kGeluTanh}},
    KnownActivation{"gelu_accurate", {&gelu_tanh, Holds::kInput, kGeluTanh}},
    KnownActivation{"gelu_python_tanh", {&gelu_tanh, Holds::kInput, kGeluTanh}},
    KnownActivation{"gelu_python", {&gelu, Holds::kInput}},
    KnownActivation{"gelu_10", {&gelu_10, Holds::kInput}},
    KnownActivation{"hardswish", {&hardswish, Holds::kInput}},
    KnownActivation{"laplace", {&laplace, Holds::kResult}},
    KnownActivation{"leaky_relu", {&leaky_relu, Holds::kInput}},
    KnownActivation{"linear", {&linear, Holds::kResult}},
    KnownActivation{"mish", {&mish, Holds::kInput}},
    KnownActivation{"relu2", {&relu_squared, Holds::kResult}},
    KnownActivation{"relu6", {&relu6, Holds::kInput}},
    KnownActivation{"sigmoid", {&sigmoid, Holds::kResult}},
    KnownActivation{"sqrtsoftplus", {&sqrt_softplus, Holds::kResult}},
};

// Computes activation(gate) x up; the graph holds only gate and up.
class Gated : public torch::autograd::Function<Gated> {
  struct Held : torch::CustomClassHolder {
    explicit Held(const Activation& grad_gate) : activation(grad_gate) {}
    Activation activation;
  };

 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& gate, const at::Tensor& up,
                            const Activation& activation) {
    context->save_for_backward({gate, up});
    context->saved_data["activation"] = c10::IValue::make_capsule(c10::make_intrusive<Held>(activation));
    return activation.compute(gate) * up;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto capsule = context->saved_data["activation"].toCapsule();
    const at::Tensor gate = saved[0].detach().requires_grad_();
    at::Tensor activated;
    {
      const at::AutoGradMode with_gradients(true);
      activated = static_cast<const Held&>(*capsule).activation.compute(gate);
    }
    const at::Tensor grad_up = gradients[0] * activated.detach();
    const at::Tensor grad_gate = torch::autograd::grad({activated}, {gate}, {gradients[0] * saved[1]}).front();
    return {grad_gate, grad_up, at::Tensor()};
  }
};

}  // namespace

at::Tensor Activation::compute(const at::Tensor& x) const {
  return swish_ && is_on_host_in_fp32(x) ? swish_on_host(x, {}, *swish_) : function_(x);
}

Operand Activation::operand(const at::Tensor& x, const Pass& pass) const {
  if (holds_ == Holds::kResult) {
    return Operand::repeatable({compute(x)}, pass, [](const std::vector<at::Tensor>& inputs) { return inputs[0]; });
  }
  return Operand::repeatable({x}, pass, [*this](const std::vector<at::Tensor>& inputs) { return compute(inputs[0]); });
}

Operand Activation::gated(const at::Tensor& gate, const at::Tensor& up, const Pass& pass) const {
  return Operand::repeatable({gate, up}, pass, [*this](const std::vector<at::Tensor>& inputs) {
    const at::Tensor &x = inputs[0], &factor = inputs[1];
    return swish_ && is_on_host_in_fp32(x) ? swish_on_host(x, factor, *swish_) : Gated::apply(x, factor, *this);
  });
}

Activation activation_by_name(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [known_name, activation] : kActivations) {
    if (name == known_name) return activation;
    known.emplace_back(known_name);
  }
  throw InputError(
      fmt::format("config.json: the activation '{}' is not supported (supported: {})", name, fmt::join(known, ", ")));
}

}  // namespace lockstep::models
