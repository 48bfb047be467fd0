#pragma once

#include <ATen/core/Tensor.h>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/sharding/flat_parameters.h"
#include "lockstep/sharding/parameter_layout.h"
#include "lockstep/train/optimizers/optimizer.h"

namespace lockstep::train {

/// What a rank writes of a checkpoint, copied to the host between two steps, so that training goes on meanwhile. The
/// memory is kept for the next copy: of the trained weights on rank 0, and of the optimizer's state (its moments), a
/// rank's part.
class StateCopy {
 public:
  /// All ranks call it alike, because ranks that share parameters gather them, layer by layer where layers are freed.
  /// `with_weights` and `with_moments`: what this rank copies.
  void take(const sharding::ParameterLayout& layout, sharding::FlatParameters& parameters, const Optimizer& optimizer,
            bool with_weights, bool with_moments);

  /// By the parameters' names; empty without weights.
  const std::map<std::string, at::Tensor>& weights() const { return weights_; }
  /// As saved_state() names them; empty without moments.
  const std::vector<std::pair<std::string, at::Tensor>>& moments() const { return moments_; }

 private:
  std::map<std::string, at::Tensor> weights_;
  std::vector<std::pair<std::string, at::Tensor>> moments_;
};

}  // namespace lockstep::train
