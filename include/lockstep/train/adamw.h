#pragma once

#include <ATen/core/Tensor.h>

#include "lockstep/comm/parameter_layout.h"
#include "lockstep/core/hyperparameters.h"

namespace lockstep {

/// AdamW with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), on all parameters as one flat tensor.
class AdamW {
 public:
  /// Moves the parameters of `layout` into one flat buffer that they become views of.
  AdamW(const ParameterLayout& layout, const Hyperparameters& hyperparameters);

  /// One update by `gradients`, flat [layout.size()] fp32.
  void step(const at::Tensor& gradients, double learning_rate);

 private:
  /// A stretch of the flat buffers with its weight decay.
  struct Group {
    at::Tensor parameters, mean, square, steps;  // `steps` a scalar: updates so far
    std::int64_t offset;
    double weight_decay;
  };
  std::vector<Group> groups_;
  double beta1_, beta2_, epsilon_;
};

/// Scales `gradients` so that their Euclidean norm is at most `max_norm` (0: leaves them) and returns the norm before,
/// as torch.nn.utils.clip_grad_norm_ does.
double clip_gradient_norm(at::Tensor gradients, double max_norm);

}  // namespace lockstep
