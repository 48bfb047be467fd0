#include "lockstep/train/cost_model.h"

#include <fmt/format.h>
#include <algorithm>
#include <cctype>
#include <map>

#include "lockstep/core/error.h"
#include "lockstep/models/families.h"
#include "lockstep/models/layers.h"

namespace lockstep {
namespace {

constexpr double kBytes = 4;       // of an fp32 number
constexpr double kStateBytes = 8;  // AdamW's two moments of a parameter
constexpr double kFlops = 2;       // of a multiply-add
// Of what goes in and out of projections, with what norms, activations, residual sums and dropout keep besides.
constexpr double kKeptActivations = 1.5;

// Which parts of a rank's memory ranks share, and what is sent.
struct Sharding {
  bool state = false, gradients = false, parameters = false;
};

Sharding parse_sharding(const std::string& name) {
  static const std::map<std::string, Sharding> kNames = {{"none", {}},
                                                         {"state", {true, false, false}},
                                                         {"state_and_gradients", {true, true, false}},
                                                         {"full", {true, true, true}}};
  const auto found = kNames.find(name);
  if (found != kNames.end()) return found->second;
  throw InputError(fmt::format(
      "optimizer_sharding: expected none, state, state_and_gradients or full, found '{}'; give one of these", name));
}

// "model.layers.11" of "model.layers.11.mlp.up_proj.weight": up to the first number; else the module itself.
std::string layer_of(const std::string& parameter) {
  for (std::size_t begin = 0; begin < parameter.size();) {
    const std::size_t end = std::min(parameter.find('.', begin), parameter.size());
    const bool is_number = end > begin && std::all_of(parameter.begin() + static_cast<std::ptrdiff_t>(begin),
                                                      parameter.begin() + static_cast<std::ptrdiff_t>(end),
                                                      [](unsigned char c) { return std::isdigit(c) != 0; });
    if (is_number) return parameter.substr(0, end);
    begin = end + 1;
  }
  return parameter.substr(0, parameter.rfind('.'));
}

double memory_of(const ModelSize& model, const StepWork& work, int ranks, const Sharding& sharding,
                 double bucket_bytes) {
  const auto share = [&](bool is_shared) { return is_shared ? 1.0 / ranks : 1.0; };
  double bytes = model.parameters * (kBytes * share(sharding.parameters) + kBytes * share(sharding.gradients) +
                                     kStateBytes * share(sharding.state));
  // Whole for a while: the bucket that is summed, the layer that computes and the next one.
  if (sharding.gradients) bytes += bucket_bytes;
  if (sharding.parameters) bytes += 2 * kBytes * model.largest_layer;
  return bytes + kBytes * kKeptActivations * model.projected_features * work.largest_micro_batch;
}

}  // namespace

ModelSize size_of(const LanguageModel& model) {
  ModelSize size;
  std::map<std::string, double> layers;
  for (const auto& parameter : model.named_parameters()) {
    const auto count = static_cast<double>(parameter.value().numel());
    size.parameters += count;
    layers[layer_of(parameter.key())] += count;
  }
  for (const auto& [layer, count] : layers) size.largest_layer = std::max(size.largest_layer, count);
  for (const auto& module : model.named_modules()) {
    const auto* projection = dynamic_cast<const Projection*>(module.value().get());
    if (projection == nullptr || module.key() == kHeadModule) continue;
    size.projected_features += static_cast<double>(projection->in_features() + projection->out_features());
  }
  return size;
}

StepEstimate estimate_step(const ModelSize& model, const StepWork& work, const Machine& machine, int ranks,
                           const std::string& sharding_name, double bucket_bytes) {
  const Sharding sharding = parse_sharding(sharding_name);
  const double forward = kFlops * work.multiply_adds / machine.flops;
  const double backward = 2 * forward;
  // Once along the ring: each rank sends all but its own part.
  const double bytes = kBytes * model.parameters;
  const double ring = (ranks - 1.0) / ranks * bytes / machine.link_bytes_per_second;
  // Gradients leave while the last micro-batch runs backward, or, where each rank keeps its part alone, while all do;
  // the last bucket is complete when backward ends, and waits for nothing.
  const double reducing_passes = sharding.gradients ? work.passes : 1;
  const double reducing = (sharding.state ? 1 : 2) * ring * reducing_passes;
  const double hidden_reducing = backward * reducing_passes / work.passes;
  const double last_bucket = std::min(1.0, bucket_bytes / bytes) * reducing / reducing_passes;
  // Updated parameters arrive while the first micro-batch runs forward; shared ones for every pass, both ways.
  const double gathering = (sharding.parameters ? 2 * work.passes : sharding.state ? 1 : 0) * ring;
  const double hidden_gathering = sharding.parameters ? forward + backward : forward / work.passes;

  StepEstimate estimate;
  estimate.memory_bytes = memory_of(model, work, ranks, sharding, bucket_bytes);
  estimate.compute_s = forward + backward;
  estimate.communication_s = reducing + gathering;
  const double exposed =
      sharding.parameters
          // One link carries both, all through the step.
          ? std::max(last_bucket, reducing + gathering - hidden_gathering)
          : std::max(last_bucket, reducing - hidden_reducing) + std::max(0.0, gathering - hidden_gathering);
  estimate.step_s = estimate.compute_s + exposed;
  estimate.tokens_per_second = work.tokens / estimate.step_s;
  estimate.efficiency = estimate.compute_s * work.mean_multiply_adds / work.multiply_adds / estimate.step_s;
  return estimate;
}

}  // namespace lockstep
