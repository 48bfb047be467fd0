#pragma once

#include <ATen/core/Tensor.h>
#include <vector>

#include "lockstep/train/optimizers/optimizer.h"

namespace lockstep::train {

/// AdamW with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2). Remembers "exp_avg" and "exp_avg_sq",
/// as torch.optim.AdamW names them: running means of the gradients and of their squares.
class AdamW final : public Optimizer {
 public:
  /// As make_optimizer().
  AdamW(const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
        const std::vector<at::Tensor>& own, const Hyperparameters& hyperparameters);

 private:
  void update(const std::vector<at::Tensor>& gradients, double learning_rate) override;

  /// Those that the same weight decay applies to.
  struct Group {
    double weight_decay;
    std::vector<at::Tensor> parameters = {}, means = {}, squares = {};  // views
    std::vector<DecayedPart> parts = {};
  };
  double beta1_, beta2_, epsilon_;
  at::Tensor updates_tensor_;  // a scalar, for the kernels
  std::vector<Group> groups_;
};

}  // namespace lockstep::train
