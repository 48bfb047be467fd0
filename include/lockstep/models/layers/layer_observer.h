#pragma once

#include <ATen/core/Tensor.h>
#include <cstddef>
#include <functional>
#include <vector>

#include "lockstep/models/layers/pass.h"

namespace lockstep::models {

/// Receives a call before and after each layer of a model computes, so that parameters need to be in memory only while
/// their layer runs.
class LayerObserver {
 public:
  virtual ~LayerObserver() = default;
  /// Called before layer `layer` computes on `x`.
  virtual void before_layer(std::size_t layer, const at::Tensor& x) = 0;
  /// Called after layer `layer` has computed `y`.
  virtual void after_layer(std::size_t layer, const at::Tensor& y) = 0;
};

/// Computes a layer's output y from `inputs`: x first, then any other results of earlier layers. Must be repeatable and
/// must not modify `inputs`. `pass` is that of the forward pass, or on recomputation a copy in the same state.
using LayerFunction = std::function<at::Tensor(const std::vector<at::Tensor>& inputs, Pass& pass)>;

/// Returns compute(inputs, pass) as layer `layer`, and calls the observer of `pass`, if there is one, before and after.
///
/// If `pass` recomputes layers, `compute` is called again during the backward pass, on inputs with the same values. It
/// must therefore capture by value whatever does not outlive the forward pass, and receive through `inputs` every
/// tensor that needs a gradient, except parameters. Losses and gradients are bit-identical with and without
/// recomputation.
at::Tensor run_layer(Pass& pass, std::size_t layer, const std::vector<at::Tensor>& inputs,
                     const LayerFunction& compute);

}  // namespace lockstep::models
