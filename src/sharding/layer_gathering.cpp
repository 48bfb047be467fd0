#include "lockstep/sharding/layer_gathering.h"

#include <torch/torch.h>
#include <unordered_map>

namespace lockstep::sharding {

void LayerGathering::begin_gather(std::size_t unit, int direction) {
  for (int i = 0; i <= kLayersAhead; ++i, unit += static_cast<std::size_t>(direction)) {
    if (unit > 0 && unit < parameters_.units()) parameters_.begin_gather(unit);
  }
}

void LayerGathering::gather(std::size_t unit, int direction) {
  begin_gather(unit, direction);
  if (unit > 0 && unit < parameters_.units()) parameters_.gather(unit);
}

// The backward pass of a layer begins once the gradient of its output is known, and ends once that of its input is.
void LayerGathering::before_layer(std::size_t layer, const at::Tensor& x) {
  const std::size_t unit = layer + 1;
  gather(unit, 1);
  if (!parameters_.frees_layers() || !at::GradMode::is_enabled() || !x.requires_grad()) return;
  x.register_hook([this, unit](const at::Tensor&) { parameters_.release(unit); });
}

void LayerGathering::after_layer(std::size_t layer, const at::Tensor& y) {
  if (!parameters_.frees_layers()) return;
  const std::size_t unit = layer + 1;
  if (!at::GradMode::is_enabled() || !y.requires_grad()) {
    parameters_.release(unit);
    return;
  }
  y.register_hook([this, unit](const at::Tensor&) { gather(unit, -1); });
  const bool is_needed_next = unit + 1 == parameters_.units();  // by the backward pass
  if (is_needed_next) {
    begin_gather(unit, -1);  // while the head computes
  } else {
    parameters_.release(unit);
  }
}

void LayerGathering::end_pass() {
  for (std::size_t unit = 1; unit < parameters_.units(); ++unit) parameters_.release(unit);
}

std::vector<NamedParameter> parameters_by_layer(const LanguageModel& model) {
  std::unordered_map<const at::TensorImpl*, std::size_t> unit_of;
  const auto layers = model.layer_parameters();
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    for (const at::Tensor& parameter : layers[layer]) unit_of[parameter.unsafeGetTensorImpl()] = layer + 1;
  }
  std::vector<NamedParameter> parameters;
  for (const auto& item : model.named_parameters()) {
    const auto unit = unit_of.find(item.value().unsafeGetTensorImpl());
    parameters.push_back({item.key(), item.value(), unit == unit_of.end() ? 0 : unit->second});
  }
  return parameters;
}

}  // namespace lockstep::sharding
