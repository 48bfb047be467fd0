#include "lockstep/train/adamw.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>

namespace lockstep {

AdamW::AdamW(const ParameterLayout& layout, const std::vector<Part>& parts, const Hyperparameters& hyperparameters)
    : beta1_(hyperparameters.adam_beta1),
      beta2_(hyperparameters.adam_beta2),
      epsilon_(hyperparameters.adam_epsilon),
      parameters_(at::zeros({layout.size()}, at::kFloat)) {
  const at::NoGradGuard no_grad;
  for (const auto& entry : layout.entries()) {
    const at::Tensor view = ParameterLayout::view(parameters_, entry);
    view.copy_(entry.parameter);
    entry.parameter.set_data(view);
  }
  const auto add_group = [&](std::int64_t begin, std::int64_t end, double weight_decay) {
    if (begin >= end) return;
    groups_.push_back({parameters_.narrow(0, begin, end - begin), at::zeros({end - begin}, at::kFloat),
                       at::zeros({end - begin}, at::kFloat), at::zeros({}, at::kFloat), begin, weight_decay});
  };
  for (const Part& part : parts) {
    add_group(part.begin, std::min(part.end, layout.decayed_size()), hyperparameters.weight_decay);
    add_group(std::max(part.begin, layout.decayed_size()), part.end, 0);
  }
}

void AdamW::step(const at::Tensor& gradients, double learning_rate) {
  const at::NoGradGuard no_grad;
  for (Group& group : groups_) {
    group.steps.add_(1);
    at::_fused_adamw_({group.parameters}, {gradients.narrow(0, group.offset, group.parameters.numel())}, {group.mean},
                      {group.square}, {}, {group.steps}, learning_rate, beta1_, beta2_, group.weight_decay, epsilon_,
                      /*amsgrad=*/false, /*maximize=*/false);
  }
}

double gradient_norm(const at::Tensor& gradients, const std::vector<Part>& parts, Communicator& communicator) {
  if (parts.size() == 1 && parts[0].size() == gradients.numel()) {
    return at::linalg_vector_norm(gradients, 2).item<double>();
  }
  at::Tensor squares = at::zeros({1}, at::kDouble);
  for (const Part& part : parts) {
    squares += at::linalg_vector_norm(gradients.narrow(0, part.begin, part.size()), 2).to(at::kDouble).square();
  }
  communicator.all_reduce_sum(squares);
  return std::sqrt(squares.item<double>());
}

void clip_gradients(const at::Tensor& gradients, const std::vector<Part>& parts, double norm, double max_norm) {
  constexpr double kEpsilon = 1e-6;  // torch.nn.utils.clip_grad_norm_'s
  const double scale = max_norm / (norm + kEpsilon);
  if (max_norm == 0 || scale >= 1) return;
  for (const Part& part : parts) gradients.narrow(0, part.begin, part.size()).mul_(scale);
}

}  // namespace lockstep
