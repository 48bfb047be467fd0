#pragma once

#include <ATen/core/Tensor.h>
#include <cstddef>

#include "lockstep/models/layers/layer_observer.h"
#include "lockstep/models/model.h"
#include "lockstep/sharding/flat_parameters.h"

namespace lockstep::sharding {

/// Gathers the parameters of a model's layers as its forward and backward passes reach them, prefetches those of the
/// next layers while one computes, and frees them afterwards. Layer i is unit i + 1.
class LayerGathering final : public models::LayerObserver {
 public:
  /// Number of layers that are gathered ahead while one computes.
  static constexpr int kLayersAhead = 2;

  /// Observes `model`'s layers until it is destroyed; `parameters` must be the model's. With `recomputes_layers` the
  /// backward pass recomputes each layer, after its parameters have been gathered.
  LayerGathering(LanguageModel& model, FlatParameters& parameters, bool recomputes_layers = false);
  ~LayerGathering() override;
  LayerGathering(const LayerGathering&) = delete;
  LayerGathering& operator=(const LayerGathering&) = delete;

  void before_layer(std::size_t layer, const at::Tensor& x) override;
  void after_layer(std::size_t layer, const at::Tensor& y) override;
  bool recomputes_layers() const override { return recomputes_layers_; }
  /// Must be called after each backward pass, which may not have reached layers before which nothing is trained.
  void end_pass();

 private:
  /// Units that do not exist, and unit 0, which precedes the first layer, are skipped.
  void begin_gather(std::size_t unit, int direction);
  void gather(std::size_t unit, int direction);

  LanguageModel& model_;
  FlatParameters& parameters_;
  const bool recomputes_layers_;
};

/// Returns the trained and frozen parameters of `model`, each in the unit of its layer.
std::vector<NamedParameter> parameters_by_layer(const LanguageModel& model);

}  // namespace lockstep::sharding
