#pragma once

#include <ATen/core/Tensor.h>
#include <cstddef>

#include "lockstep/models/layers/layer_observer.h"
#include "lockstep/models/model.h"
#include "lockstep/sharding/flat_parameters.h"

namespace lockstep::sharding {

/// Gathers the parameters of a model's layers as its forward and backward passes come to them, those of the next ones
/// while a layer computes, and frees them behind. A layer is the unit of its number plus 1.
class LayerGathering final : public models::LayerObserver {
 public:
  /// That are gathered while one computes.
  static constexpr int kLayersAhead = 2;

  /// Observes `model`'s layers until it is destroyed; `parameters` are the model's. `recomputes_layers`: for the
  /// backward pass, which then finds a layer's parameters gathered before it computes the layer again.
  LayerGathering(LanguageModel& model, FlatParameters& parameters, bool recomputes_layers = false);
  ~LayerGathering() override;
  LayerGathering(const LayerGathering&) = delete;
  LayerGathering& operator=(const LayerGathering&) = delete;

  void before_layer(std::size_t layer, const at::Tensor& x) override;
  void after_layer(std::size_t layer, const at::Tensor& y) override;
  bool recomputes_layers() const override { return recomputes_layers_; }
  /// Call after each backward pass: it may not have come to layers before which nothing is trained.
  void end_pass();

 private:
  /// Of units that are not there nothing is gathered: 0 is before the first layer.
  void begin_gather(std::size_t unit, int direction);
  void gather(std::size_t unit, int direction);

  LanguageModel& model_;
  FlatParameters& parameters_;
  const bool recomputes_layers_;
};

/// The trained and frozen parameters of `model`, each in the unit of its layer.
std::vector<NamedParameter> parameters_by_layer(const LanguageModel& model);

}  // namespace lockstep::sharding
