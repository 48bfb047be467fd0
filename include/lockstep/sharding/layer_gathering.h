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

  /// `parameters` are those of the observed model, and must outlive the object and the backward passes that it
  /// observes.
  explicit LayerGathering(FlatParameters& parameters) : parameters_(parameters) {}

  void before_layer(std::size_t layer, const at::Tensor& x) override;
  void after_layer(std::size_t layer, const at::Tensor& y) override;
  /// Must be called after each backward pass, which may not have reached layers before which nothing is trained.
  void end_pass();

 private:
  /// Units that do not exist, and unit 0, which precedes the first layer, are skipped.
  void begin_gather(std::size_t unit, int direction);
  void gather(std::size_t unit, int direction);

  FlatParameters& parameters_;
};

/// Returns the trained and frozen parameters of `model`, each in the unit of its layer.
std::vector<NamedParameter> parameters_by_layer(const LanguageModel& model);

}  // namespace lockstep::sharding
