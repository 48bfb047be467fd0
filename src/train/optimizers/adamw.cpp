#include "train/optimizers/adamw.h"

#include <ATen/ATen.h>

namespace lockstep::train {

AdamW::AdamW(const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
             const std::vector<at::Tensor>& own, const Hyperparameters& hyperparameters)
    : beta1_(hyperparameters.adam_beta1),
      beta2_(hyperparameters.adam_beta2),
      epsilon_(hyperparameters.adam_epsilon),
      updates_tensor_(at::zeros({}, layout.options())) {
  const std::vector<at::Tensor> means = add_elementwise_state("exp_avg", layout, ownership, own);
  const std::vector<at::Tensor> squares = add_elementwise_state("exp_avg_sq", layout, ownership, own);
  for (const DecayRange& part : decayed_parts(layout, ownership, hyperparameters.weight_decay)) {
    if (groups_.empty() || groups_.back().weight_decay != part.weight_decay) {
      groups_.push_back({.weight_decay = part.weight_decay});
    }
    const auto of_part = [&](const std::vector<at::Tensor>& tensors) {
      return tensors[part.bucket].narrow(0, part.part.begin, part.part.size());
    };
    Group& group = groups_.back();
    group.parameters.push_back(of_part(own));
    group.means.push_back(of_part(means));
    group.squares.push_back(of_part(squares));
    group.parts.push_back(part);
  }
}

void AdamW::update(const std::vector<at::Tensor>& gradients, double learning_rate) {
  updates_tensor_.fill_(static_cast<double>(updates()));
  for (Group& group : groups_) {
    std::vector<at::Tensor> of_group;
    for (const DecayRange& part : group.parts) {
      of_group.push_back(gradients[part.bucket].narrow(0, part.part.begin, part.part.size()));
    }
    const std::vector<at::Tensor> updates(group.parts.size(), updates_tensor_);
    at::_fused_adamw_(group.parameters, of_group, group.means, group.squares, {}, updates, learning_rate, beta1_,
                      beta2_, group.weight_decay, epsilon_, /*amsgrad=*/false, /*maximize=*/false);
  }
}

}  // namespace lockstep::train
