#pragma once

#include <ATen/core/Tensor.h>
#include <cstddef>
#include <functional>
#include <vector>

#include "lockstep/models/layers/dropout.h"

namespace lockstep::models {

/// Is told when a model's layers compute, so that their parameters may be somewhere else in between.
class LayerObserver {
 public:
  virtual ~LayerObserver() = default;
  /// Layer `layer` is about to compute on `x`.
  virtual void before_layer(std::size_t layer, const at::Tensor& x) = 0;
  /// It has computed `y`.
  virtual void after_layer(std::size_t layer, const at::Tensor& y) = 0;
  /// Whether what a layer computes on the way is given up, and computed again by the backward pass (gradient
  /// checkpointing, Chen et al. 2016).
  virtual bool recomputes_layers() const { return false; }
};

/// A layer: of `inputs`, x first and then what else it takes of what was computed before, it makes y, as often as it is
/// asked, and leaves them as they are. `dropout` is the one of the pass, or stands where it stood then.
using LayerFunction = std::function<at::Tensor(const std::vector<at::Tensor>& inputs, Dropout& dropout)>;

/// What `compute` makes of `inputs` as layer `layer`. The observer may be null.
///
/// If layers are recomputed, `compute` is called again during the backward pass, on inputs of the same values, so it
/// must hold by value what it needs of the forward pass and then is gone, and take by `inputs` whatever has gradients,
/// but for parameters. Losses and gradients have the same bits either way.
at::Tensor run_layer(LayerObserver* observer, std::size_t layer, const std::vector<at::Tensor>& inputs,
                     Dropout& dropout, const LayerFunction& compute);

}  // namespace lockstep::models
