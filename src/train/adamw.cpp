#include "lockstep/train/adamw.h"

#include <ATen/ATen.h>
#include <algorithm>

namespace lockstep {

AdamW::AdamW(const ParameterLayout& layout, const Hyperparameters& hyperparameters)
    : beta1_(hyperparameters.adam_beta1), beta2_(hyperparameters.adam_beta2), epsilon_(hyperparameters.adam_epsilon) {
  const at::NoGradGuard no_grad;
  const at::Tensor flat = at::zeros({layout.size()}, at::kFloat);
  for (const auto& entry : layout.entries()) {
    const at::Tensor view = ParameterLayout::view(flat, entry);
    view.copy_(entry.parameter);
    entry.parameter.set_data(view);
  }
  const auto add_group = [&](std::int64_t begin, std::int64_t end, double weight_decay) {
    if (begin == end) return;
    groups_.push_back({flat.narrow(0, begin, end - begin), at::zeros({end - begin}, at::kFloat),
                       at::zeros({end - begin}, at::kFloat), at::zeros({}, at::kFloat), begin, weight_decay});
  };
  add_group(0, layout.decayed_size(), hyperparameters.weight_decay);
  add_group(layout.decayed_size(), layout.size(), 0);
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

double clip_gradient_norm(at::Tensor gradients, double max_norm) {
  const double norm = at::linalg_vector_norm(gradients, 2).item<double>();
  constexpr double kEpsilon = 1e-6;  // torch.nn.utils.clip_grad_norm_'s
  const double scale = max_norm / (norm + kEpsilon);
  if (max_norm > 0 && scale < 1) gradients.mul_(scale);
  return norm;
}

}  // namespace lockstep
