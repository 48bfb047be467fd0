#include "models/kernels/swish.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>

#include "models/kernels/vector_math.h"

namespace lockstep::models {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // minimum of numbers per thread

// A tensor as rows of consecutive numbers; copied only if it is neither contiguous nor 2-D with a last stride of 1.
struct Rows {
  explicit Rows(const at::Tensor& x)
      : tensor(x.dim() == 2 && x.stride(1) == 1 ? x : x.contiguous()),
        columns(std::max<std::int64_t>(1, x.size(-1))),
        count(x.numel() / columns),
        stride(tensor.dim() == 2 ? tensor.stride(0) : columns) {}
  const float* row(std::int64_t i) const { return tensor.const_data_ptr<float>() + i * stride; }

  at::Tensor tensor;
  std::int64_t columns, count, stride;
};

template <class Compute>
void for_each_row(const Rows& rows, const Compute& compute) {
  const std::int64_t grain = std::max<std::int64_t>(1, kGrain / rows.columns);
  at::parallel_for(0, rows.count, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) compute(i);
  });
}

class SwishOnHost : public torch::autograd::Function<SwishOnHost> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const std::optional<at::Tensor>& up, double linear, double cubic) {
    context->save_for_backward({x, up.value_or(at::Tensor())});
    context->saved_data["linear"] = linear;
    context->saved_data["cubic"] = cubic;
    const Rows rows(x);
    at::Tensor y = at::empty(x.sizes(), x.options());
    auto* to = y.mutable_data_ptr<float>();
    const auto a = static_cast<float>(linear), b = static_cast<float>(cubic);
    if (up) {
      const Rows factors(*up);
      for_each_row(rows, [&](std::int64_t i) {
        swish_gate(rows.row(i), factors.row(i), to + i * rows.columns, rows.columns, a, b);
      });
    } else {
      for_each_row(rows, [&](std::int64_t i) { swish(rows.row(i), to + i * rows.columns, rows.columns, a, b); });
    }
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto a = static_cast<float>(context->saved_data["linear"].toDouble());
    const auto b = static_cast<float>(context->saved_data["cubic"].toDouble());
    const Rows rows(saved[0]), grad_output(gradients[0]);
    at::Tensor grad_x = at::empty(saved[0].sizes(), saved[0].options()), grad_up;
    auto* to = grad_x.mutable_data_ptr<float>();
    if (saved[1].defined()) {
      const Rows factors(saved[1]);
      grad_up = at::empty(saved[1].sizes(), saved[1].options());
      auto* to_up = grad_up.mutable_data_ptr<float>();
      for_each_row(rows, [&](std::int64_t i) {
        const std::int64_t begin = i * rows.columns;
        swish_gate_gradient(rows.row(i), factors.row(i), grad_output.row(i), to + begin, to_up + begin, rows.columns, a,
                            b);
      });
    } else {
      for_each_row(rows, [&](std::int64_t i) {
        swish_gradient(rows.row(i), grad_output.row(i), to + i * rows.columns, rows.columns, a, b);
      });
    }
    return {grad_x, grad_up, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor swish_on_host(const at::Tensor& x, const at::Tensor& up, Swish swish) {
  return SwishOnHost::apply(x, up.defined() ? std::optional(up) : std::nullopt, static_cast<double>(swish.linear),
                            static_cast<double>(swish.cubic));
}

}  // namespace lockstep::models
