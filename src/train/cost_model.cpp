#include "lockstep/train/cost_model.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "lockstep/models/layers/linear.h"
#include "lockstep/models/loss.h"
#include "lockstep/sharding/gradient_reducer.h"
#include "lockstep/sharding/layer_gathering.h"

namespace lockstep::train {
namespace {

constexpr double kBytes = 4;  // per fp32 number
constexpr double kFlops = 2;  // per multiply-add

// Returns the features that are kept per token until backward has used them: the output of a projection, or its sum
// with the residual that it is added to, and the output of attention. Outputs of norms and activations are computed
// again.
std::int64_t activation_features(const models::Projection& projection) {
  const bool is_attention_output = projection.use.role == models::ProjectionRole::kAttentionOutput;
  return projection.out_features() + (is_attention_output ? projection.in_features() : 0);
}

}  // namespace

double held_bytes(const ModelSize& model, int ranks, job::OptimizerSharding sharding, double bucket_bytes) {
  const auto share = [&](bool is_sharded) { return is_sharded ? 1.0 / ranks : 1.0; };
  double bytes = kBytes * (model.parameters * share(shares_parameters(sharding)) +
                           model.trained * share(shares_gradients(sharding)) +
                           model.shardable_state * share(shares_state(sharding)) + model.replicated_state);
  // Parameters that are needed throughout are held whole, in addition to the rank's share of them.
  if (shares_parameters(sharding)) bytes += kBytes * (model.parameters - model.in_layers) * (1 - share(true));
  // Also held temporarily: the buckets of gradients that are filled or reduced, the current layer and the layers
  // gathered ahead.
  if (shares_gradients(sharding))
    bytes += static_cast<double>(sharding::GradientReducer::kMaxInFlight + 1) * bucket_bytes;
  if (shares_parameters(sharding)) bytes += (sharding::LayerGathering::kLayersAhead + 1) * kBytes * model.largest_layer;
  return bytes;
}

double activation_bytes(const ModelSize& model, bool recomputes_layers) {
  return kBytes * (recomputes_layers ? model.layers * model.hidden_features + model.layer_kept_features
                                     : model.activation_features);
}

ModelSize measure_model(const LanguageModel& model, job::Optim optim) {
  const job::OptimizerFacts& optimizer = facts_of(optim);
  ModelSize size;
  for (const at::Tensor& parameter : model.parameters()) {
    const auto elements = static_cast<double>(parameter.numel());
    size.parameters += elements;
    if (!parameter.requires_grad()) continue;
    size.trained += elements;
    if (optimizer.factors_matrices && parameter.dim() >= 2) {
      size.replicated_state +=
          elements / static_cast<double>(parameter.size(-1)) + elements / static_cast<double>(parameter.size(-2));
    } else {
      size.shardable_state += optimizer.state_per_element * elements;
    }
  }
  const auto layers = model.layer_parameters();
  for (const auto& layer : layers) {
    double count = 0;
    for (const at::Tensor& parameter : layer) count += static_cast<double>(parameter.numel());
    size.in_layers += count;
    size.largest_layer = std::max(size.largest_layer, count);
  }
  std::unordered_map<const at::TensorImpl*, std::size_t> layer_of;
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    for (const at::Tensor& parameter : layers[layer]) layer_of[parameter.unsafeGetTensorImpl()] = layer;
  }
  std::vector<double> of_layers(layers.size());
  double of_input = 0, of_target = 0;
  for (const auto& [path, projection] : models::projections_of(model)) {
    if (projection->use.role == models::ProjectionRole::kHead) continue;
    const auto features = static_cast<double>(activation_features(*projection));
    (projection->use.stream == models::TokenStream::kTarget ? of_target : of_input) += features;
    const auto layer = layer_of.find(projection->weight.unsafeGetTensorImpl());
    if (layer != layer_of.end()) of_layers[layer->second] += features;
  }
  size.activation_features = std::max(of_input, of_target);
  size.vocabulary = static_cast<double>(model.info().vocabulary_size);
  size.layers = static_cast<double>(layers.size());
  size.hidden_features = static_cast<double>(model.info().hidden_size);
  for (const double features : of_layers) {
    size.layer_kept_features = std::max(size.layer_kept_features, features);
  }
  return size;
}

StepEstimate estimate_step(const ModelSize& model, const StepWork& work, const Machine& machine, int ranks,
                           job::OptimizerSharding sharding, double bucket_bytes) {
  const double forward = kFlops * work.multiply_adds / machine.flops;
  const double backward = (work.recomputes_layers ? 3 : 2) * forward;
  // One pass along the ring: each rank sends all but its own range.
  const double bytes = kBytes * model.parameters;
  const double ring = (ranks - 1.0) / ranks * bytes / machine.link_bytes_per_second;
  // Gradients are sent during the backward pass of the last micro-batch or, if each rank keeps only its range of them,
  // of every micro-batch. The last bucket is complete only when backward ends, so it is never hidden.
  const double reducing_passes = shares_gradients(sharding) ? work.passes : 1;
  const double reducing = (shares_state(sharding) ? 1 : 2) * ring * reducing_passes;
  const double hidden_reducing = backward * reducing_passes / work.passes;
  const double last_bucket = std::min(1.0, bucket_bytes / bytes) * reducing / reducing_passes;
  // Updated parameters arrive during the first micro-batch's forward pass; sharded ones are gathered in every forward
  // and backward pass.
  const double in_layers = model.in_layers / model.parameters;
  const double gathering = (shares_parameters(sharding) ? 2 * work.passes * in_layers + 1 - in_layers
                            : shares_state(sharding)    ? 1
                                                        : 0) *
                           ring;
  const double hidden_gathering = shares_parameters(sharding) ? forward + backward : forward / work.passes;
  // The first layer waits for its own parameters, and for those outside of layers.
  const double first_layer = gathering > 0 ? (1 - in_layers + model.largest_layer / model.parameters) * ring : 0;

  StepEstimate estimate;
  estimate.memory_bytes = machine.program_bytes + held_bytes(model, ranks, sharding, bucket_bytes) +
                          activation_bytes(model, work.recomputes_layers) * work.largest_micro_batch +
                          models::logits_bytes(work.largest_micro_batch, model.vocabulary);
  estimate.compute_s = forward + backward;
  estimate.communication_s = reducing + gathering;
  const double exposed =
      shares_parameters(sharding)
          // One link carries both throughout the step.
          ? std::max(first_layer + last_bucket, reducing + gathering - hidden_gathering)
          : std::max(last_bucket, reducing - hidden_reducing) + std::max(first_layer, gathering - hidden_gathering);
  estimate.step_s = estimate.compute_s + exposed;
  estimate.tokens_per_second = work.tokens / estimate.step_s;
  estimate.efficiency = estimate.compute_s * work.mean_multiply_adds / work.multiply_adds / estimate.step_s;
  return estimate;
}

}  // namespace lockstep::train
