#pragma once

#include <ATen/core/Tensor.h>

#include "lockstep/comm/communicator.h"
#include "lockstep/comm/parameter_layout.h"
#include "lockstep/core/hyperparameters.h"

namespace lockstep {

/// AdamW with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), on all parameters as one flat tensor,
/// or on a rank's parts of it alone (the first stage of ZeRO, Rajbhandari et al. 2020).
class AdamW {
 public:
  /// Moves the parameters of `layout` into one flat buffer that they become views of. Updates those within `parts`, and
  /// holds no state for the others.
  AdamW(const ParameterLayout& layout, const std::vector<Part>& parts, const Hyperparameters& hyperparameters);

  /// One update by `gradients`, flat [layout.size()] fp32.
  void step(const at::Tensor& gradients, double learning_rate);
  /// All parameters, [layout.size()] fp32, in the layout's order.
  const at::Tensor& parameters() const { return parameters_; }

 private:
  /// A stretch of the flat buffers with its weight decay.
  struct Group {
    at::Tensor parameters, mean, square, steps;  // `steps` a scalar: updates so far
    std::int64_t offset;
    double weight_decay;
  };
  double beta1_, beta2_, epsilon_;
  at::Tensor parameters_;
  std::vector<Group> groups_;
};

/// The Euclidean norm of the flat `gradients`, whose `parts` this rank holds; the ranks' together are all.
double gradient_norm(const at::Tensor& gradients, const std::vector<Part>& parts, Communicator& communicator);

/// Scales `parts` of `gradients`, whose norm is `norm`, so that it is at most `max_norm` (0: leaves them), as
/// torch.nn.utils.clip_grad_norm_ does.
void clip_gradients(const at::Tensor& gradients, const std::vector<Part>& parts, double norm, double max_norm);

}  // namespace lockstep
