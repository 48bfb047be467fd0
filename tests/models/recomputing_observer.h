#pragma once

#include "lockstep/models/layers/layer_observer.h"

namespace lockstep::test {

/// Selects whether layers are recomputed in the backward pass, and counts the layers that ran.
struct RecomputingObserver final : models::LayerObserver {
  explicit RecomputingObserver(bool recomputes_) : recomputes(recomputes_) {}
  void before_layer(std::size_t, const at::Tensor&) override { ++layers; }
  void after_layer(std::size_t, const at::Tensor&) override {}
  bool recomputes_layers() const override { return recomputes; }
  bool recomputes;
  int layers = 0;
};

}  // namespace lockstep::test
