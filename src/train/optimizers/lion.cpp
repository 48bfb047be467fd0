#include "train/optimizers/lion.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <algorithm>

namespace lockstep::train {
namespace {

struct Piece {
  at::Tensor parameter, gradient, mean;  // flat

  Piece narrow(std::int64_t begin, std::int64_t size) const {
    return {parameter.narrow(0, begin, size), gradient.narrow(0, begin, size), mean.narrow(0, begin, size)};
  }

  void update(double learning_rate, double weight_decay, double beta1, double beta2) const {
    const at::Tensor direction = at::lerp(mean, gradient, 1 - beta1).sign_();
    mean.lerp_(gradient, 1 - beta2);
    if (weight_decay != 0) parameter.mul_(1 - learning_rate * weight_decay);
    parameter.sub_(direction, learning_rate);
  }
};

}  // namespace

Lion::Lion(const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
           const std::vector<at::Tensor>& own, const Hyperparameters& hyperparameters)
    : beta1_(hyperparameters.adam_beta1),
      beta2_(hyperparameters.adam_beta2),
      own_(own),
      means_(add_elementwise_state("exp_avg", layout, ownership, own)),
      parts_(decayed_parts(layout, ownership, hyperparameters.weight_decay)) {}

void Lion::update(const std::vector<at::Tensor>& gradients, double learning_rate) {
  for (const auto& [bucket, part, weight_decay] : parts_) {
    const Piece all = Piece{own_[bucket], gradients[bucket], means_[bucket]}.narrow(part.begin, part.size());
    if (!all.parameter.is_cpu()) {
      all.update(learning_rate, weight_decay, beta1_, beta2_);
      continue;
    }
    const std::int64_t size = part.size();
    at::parallel_for(0, (size + kChunkElements - 1) / kChunkElements, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t begin = first * kChunkElements; begin < std::min(size, last * kChunkElements);
           begin += kChunkElements) {
        all.narrow(begin, std::min(kChunkElements, size - begin)).update(learning_rate, weight_decay, beta1_, beta2_);
      }
    });
  }
}

}  // namespace lockstep::train
