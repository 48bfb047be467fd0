#pragma once

#include "lockstep/models/layers/layer_observer.h"

namespace lockstep::test {

/// Whether layers are computed again in backward, and how many were begun.
struct RecomputingObserver final : models::LayerObserver {
  explicit RecomputingObserver(bool recomputes_) : recomputes(recomputes_) {}
  void before_layer(std::size_t, const at::Tensor&) override { ++layers; }
  void after_layer(std::size_t, const at::Tensor&) override {}
  bool recomputes_layers() const override { return recomputes; }
  bool recomputes;
  int layers = 0;
};

}  // namespace lockstep::test
