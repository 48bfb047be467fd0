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

/// A copy, on the host, of what a rank writes to a checkpoint, taken between two steps, so that training continues
/// during the writing. It holds the trained weights, on rank 0, and the rank's share of the optimizer's state (its
/// moments). The memory is reused for the next copy.
class StateCopy {
 public:
  /// Takes the copy. All ranks must call it, because ranks that share parameters gather them, layer by layer if layers
  /// are freed. `with_weights` and `with_moments` say what this rank copies.
  void take(const sharding::ParameterLayout& layout, sharding::FlatParameters& parameters, const Optimizer& optimizer,
            bool with_weights, bool with_moments);

  /// Returns the weights by parameter name; empty without weights.
  const std::map<std::string, at::Tensor>& weights() const { return weights_; }
  /// Returns the moments with the names of saved_state(); empty without moments.
  const std::vector<std::pair<std::string, at::Tensor>>& moments() const { return moments_; }

 private:
  std::map<std::string, at::Tensor> weights_;
  std::vector<std::pair<std::string, at::Tensor>> moments_;
};

}  // namespace lockstep::train
