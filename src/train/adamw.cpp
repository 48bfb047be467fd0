#include "lockstep/train/adamw.h"

#include <ATen/ATen.h>
#include <algorithm>

namespace lockstep {

AdamW::AdamW(const ParameterLayout& layout, const Ownership& ownership, const std::vector<at::Tensor>& own,
             const Hyperparameters& hyperparameters)
    : beta1_(hyperparameters.adam_beta1),
      beta2_(hyperparameters.adam_beta2),
      epsilon_(hyperparameters.adam_epsilon),
      updates_tensor_(at::zeros({}, layout.options())) {
  for (const at::Tensor& part : own) {
    means_.push_back(at::zeros({part.numel()}, part.options()));
    squares_.push_back(at::zeros({part.numel()}, part.options()));
  }
  for (const bool decayed : {true, false}) {
    Group group{.weight_decay = decayed ? hyperparameters.weight_decay : 0};
    for (std::size_t i = 0; i < own.size(); ++i) {
      for (const auto& stretch : layout.buckets()[i].stretches) {
        const Part owned = ownership.parts[i];
        const Part part{std::max(stretch.part.begin, owned.begin) - owned.begin,
                        std::min(stretch.part.end, owned.end) - owned.begin};
        if (stretch.decayed != decayed || part.size() <= 0) continue;
        group.parameters.push_back(own[i].narrow(0, part.begin, part.size()));
        group.means.push_back(means_[i].narrow(0, part.begin, part.size()));
        group.squares.push_back(squares_[i].narrow(0, part.begin, part.size()));
        group.buckets.push_back(i);
        group.parts.push_back(part);
      }
    }
    if (!group.parameters.empty()) groups_.push_back(std::move(group));
  }
}

void AdamW::step(const std::vector<at::Tensor>& gradients, double learning_rate) {
  const at::NoGradGuard no_grad;
  updates_tensor_.fill_(static_cast<double>(++updates_));
  for (Group& group : groups_) {
    std::vector<at::Tensor> of_group;
    for (std::size_t i = 0; i < group.parts.size(); ++i) {
      of_group.push_back(gradients[group.buckets[i]].narrow(0, group.parts[i].begin, group.parts[i].size()));
    }
    const std::vector<at::Tensor> updates(group.parts.size(), updates_tensor_);
    at::_fused_adamw_(group.parameters, of_group, group.means, group.squares, {}, updates, learning_rate, beta1_,
                      beta2_, group.weight_decay, epsilon_, /*amsgrad=*/false, /*maximize=*/false);
  }
}

}  // namespace lockstep
