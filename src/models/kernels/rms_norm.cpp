#include "models/kernels/rms_norm.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "models/kernels/vector_math.h"

namespace lockstep::models {
namespace {

// Rows whose contributions to the weight's gradient are summed sequentially, so that the sum does not depend on the
// number of threads.
constexpr std::int64_t kRowsOfBlock = 64;

std::int64_t rows_of(const at::Tensor& x) { return x.numel() / std::max<std::int64_t>(1, x.size(-1)); }

LOCKSTEP_VECTORISED void normalise_row(const float* x, const float* weight, float scale, float* y, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) y[i] = x[i] * scale * weight[i];
}

// Sets `products` to gradient x weight and adds gradient x normalised x to `grad_weight`.
LOCKSTEP_VECTORISED void weigh_gradient_row(const float* gradient, const float* x, const float* weight, float scale,
                                            float* products, float* grad_weight, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) {
    products[i] = gradient[i] * weight[i];
    grad_weight[i] += gradient[i] * (x[i] * scale);
  }
}

// Sets `products` to products x scale - x x shift.
LOCKSTEP_VECTORISED void project_gradient_row(float* products, const float* x, float scale, float shift,
                                              std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) products[i] = products[i] * scale - x[i] * shift;
}

class RmsNormOnHost : public torch::autograd::Function<RmsNormOnHost> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& weight, double epsilon) {
    const at::Tensor x = input.contiguous();
    const std::int64_t rows = rows_of(x), size = x.size(-1);
    at::Tensor y = at::empty_like(x), scales = at::empty({rows}, x.options());
    const auto* from = x.const_data_ptr<float>();
    const auto* factors = weight.const_data_ptr<float>();
    auto* to = y.mutable_data_ptr<float>();
    auto* scale = scales.mutable_data_ptr<float>();
    at::parallel_for(0, rows, kRowsOfBlock, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const float* values = from + row * size;
        const float mean = sum_of_products(values, values, size) / static_cast<float>(size);
        scale[row] = 1 / std::sqrt(mean + static_cast<float>(epsilon));
        normalise_row(values, factors, scale[row], to + row * size, size);
      }
    });
    context->save_for_backward({x, weight, scales});
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &scales = saved[2];
    const at::Tensor grad_output = gradients[0].contiguous();
    const std::int64_t rows = rows_of(x), size = x.size(-1), blocks = (rows + kRowsOfBlock - 1) / kRowsOfBlock;
    at::Tensor grad_x = at::empty_like(x), grad_weight = at::zeros({blocks, size}, x.options());
    const auto* values = x.const_data_ptr<float>();
    const auto* factors = weight.const_data_ptr<float>();
    const auto* scale = scales.const_data_ptr<float>();
    const auto* from = grad_output.const_data_ptr<float>();
    auto* to = grad_x.mutable_data_ptr<float>();
    auto* sums = grad_weight.mutable_data_ptr<float>();
    at::parallel_for(0, blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin * kRowsOfBlock; row < std::min(rows, end * kRowsOfBlock); ++row) {
        const float* of_row = values + row * size;
        float* products = to + row * size;
        weigh_gradient_row(from + row * size, of_row, factors, scale[row], products, sums + row / kRowsOfBlock * size,
                           size);
        const float mean = sum_of_products(products, of_row, size) / static_cast<float>(size);
        project_gradient_row(products, of_row, scale[row], mean * scale[row] * scale[row] * scale[row], size);
      }
    });
    return {grad_x, grad_weight.sum(0), at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm_on_host(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  return RmsNormOnHost::apply(x, weight, epsilon);
}

}  // namespace lockstep::models
