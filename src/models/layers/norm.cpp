#include "models/layers/norm.h"

#include <vector>

#include "models/kernels/rms_norm.h"
#include "models/kernels/vector_math.h"

namespace lockstep::models {

RmsNorm::RmsNorm(std::int64_t features, double epsilon_, bool offset_) : epsilon(epsilon_), offset(offset_) {
  weight = register_parameter("weight", offset ? torch::zeros({features}) : torch::ones({features}));
}

Operand Norm::operand(const at::Tensor& x, const Pass& pass) const {
  return Operand::repeatable({x}, pass, [this](const std::vector<at::Tensor>& inputs) { return forward(inputs[0]); });
}

at::Tensor RmsNorm::forward(const at::Tensor& x) const {
  const at::Tensor factors = offset ? 1 + weight : weight;
  return is_on_host_in_fp32(x) && is_on_host_in_fp32(factors) ? rms_norm_on_host(x, factors, epsilon)
                                                              : at::rms_norm(x, {x.size(-1)}, factors, epsilon);
}

LayerNorm::LayerNorm(std::int64_t features, double epsilon_, bool affine) : epsilon(epsilon_) {
  if (!affine) return;
  weight = register_parameter("weight", torch::ones({features}));
  bias = register_parameter("bias", torch::zeros({features}));
}

at::Tensor LayerNorm::forward(const at::Tensor& x) const {
  return at::layer_norm(x, {x.size(-1)}, weight, bias, epsilon);
}

}  // namespace lockstep::models
