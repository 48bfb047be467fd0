#pragma once

#include <ATen/core/Tensor.h>
#include <vector>

#include "lockstep/train/optimizers/optimizer.h"

namespace lockstep::train {

/// AdamW with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2). Its state is "exp_avg" and
/// "exp_avg_sq", as in torch.optim.AdamW: running means of the gradients and of their squares.
class AdamW final : public Optimizer {
 public:
  /// Takes the arguments of make_optimizer().
  AdamW(const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
        const std::vector<at::Tensor>& own, const Hyperparameters& hyperparameters);

 private:
  void update(const std::vector<at::Tensor>& gradients, double learning_rate) override;

  /// Ranges with the same weight decay.
  struct Group {
    double weight_decay;
    std::vector<at::Tensor> parameters = {}, means = {}, squares = {};  // views
    std::vector<DecayRange> parts = {};
  };
  double beta1_, beta2_, epsilon_;
  at::Tensor updates_tensor_;  // a scalar, for the fused kernel
  std::vector<Group> groups_;
};

}  // namespace lockstep::train
