#pragma once

#include <ATen/core/Tensor.h>
#include <vector>

#include "lockstep/train/optimizers/optimizer.h"

namespace lockstep::train {

/// Lion: the sign of an interpolated momentum, with decoupled weight decay (Chen et al. 2023, algorithm 2). Its state
/// is "exp_avg", a running mean of the gradients. Its betas are adam_beta1 and adam_beta2, as in the Hugging Face
/// Trainer.
class Lion final : public Optimizer {
 public:
  /// Takes the arguments of make_optimizer().
  Lion(const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
       const std::vector<at::Tensor>& own, const Hyperparameters& hyperparameters);

 private:
  void update(const std::vector<at::Tensor>& gradients, double learning_rate) override;

  double beta1_, beta2_;
  std::vector<at::Tensor> own_, means_;
  std::vector<DecayRange> parts_;
};

}  // namespace lockstep::train
