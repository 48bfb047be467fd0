#include "lockstep/models/layers/linear.h"

#include <utility>
#include <vector>

#include "models/layers/product.h"

namespace lockstep::models {

at::Tensor Projection::forward(const Operand& operand, Pass& pass) const {
  const at::Tensor y = project_for_training(operand, pass);
  if (!low_rank) return y;
  const at::Tensor x = pass.dropout(operand.x, low_rank->dropout);
  return y + at::linear(at::linear(x, low_rank->a), low_rank->b) * low_rank->scale;
}

at::Tensor Projection::project_for_training(const Operand& operand, const Pass& pass) const {
  const bool adds_gradient = pass.adds_gradients_in_place && weight.requires_grad() && operand.x.dim() == 2;
  if (pass.rounded_weights == nullptr && !adds_gradient) return project(operand.x);
  return multiply(operand, weight, bias, is_transposed(), pass);
}

Linear::Linear(std::int64_t in, std::int64_t out, bool has_bias, ProjectionUse use_) : Projection(use_) {
  weight = register_parameter("weight", torch::empty({out, in}));
  if (has_bias) bias = register_parameter("bias", torch::zeros({out}));
}

Conv1D::Conv1D(std::int64_t in, std::int64_t out, ProjectionUse use_) : Projection(use_) {
  weight = register_parameter("weight", torch::empty({in, out}));
  bias = register_parameter("bias", torch::zeros({out}));
}

at::Tensor Conv1D::project(const at::Tensor& x) const {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(1);
  return at::addmm(bias, x.reshape({-1, x.size(-1)}), weight).view(shape);
}

std::vector<NamedProjection> projections_of(const torch::nn::Module& model) {
  std::vector<NamedProjection> projections;
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {
    if (auto projection = std::dynamic_pointer_cast<Projection>(item.value())) {
      projections.emplace_back(item.key(), std::move(projection));
    }
  }
  return projections;
}

}  // namespace lockstep::models
