#include "lockstep/train/optimizers/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <algorithm>

#include "lockstep/sharding/zero_buffer.h"
#include "train/optimizers/makers.h"

namespace lockstep::train {

void Optimizer::step(const std::vector<at::Tensor>& gradients, double learning_rate) {
  const at::NoGradGuard no_grad;
  ++updates_;
  update(gradients, learning_rate);
}

std::vector<at::Tensor> Optimizer::add_elementwise_state(const std::string& kind, const OptimizerInputs& inputs) {
  std::vector<at::Tensor> remembered;
  for (const at::Tensor& part : inputs.own) remembered.push_back(sharding::zero_buffer(part.numel(), part.options()));
  for (const sharding::ParameterLayout::Entry& entry : inputs.layout.entries()) {
    const std::string name = entry.name + "/" + kind;
    state_sizes_.emplace(name, entry.parameter.numel());
    const OwnedRange part = owned_part(entry, inputs.ownership);
    if (part.of_own.size() <= 0) continue;
    state_.push_back(
        {name, part.of_parameter, remembered[entry.bucket].narrow(0, part.of_own.begin, part.of_own.size())});
  }
  return remembered;
}

std::vector<DecayRange> decayed_parts(const OptimizerInputs& inputs) {
  const double weight_decay = inputs.hyperparameters.weight_decay;
  std::vector<DecayRange> parts;
  for (const bool decayed : {true, false}) {
    for (std::size_t i = 0; i < inputs.layout.buckets().size(); ++i) {
      for (const auto& stretch : inputs.layout.buckets()[i].stretches) {
        const comm::Range owned = inputs.ownership.parts[i];
        const comm::Range part{std::max(stretch.part.begin, owned.begin) - owned.begin,
                               std::min(stretch.part.end, owned.end) - owned.begin};
        if (stretch.decayed == decayed && part.size() > 0) parts.push_back({i, part, decayed ? weight_decay : 0});
      }
    }
  }
  return parts;
}

OwnedRange owned_part(const sharding::ParameterLayout::Entry& entry, const sharding::Ownership& ownership) {
  const comm::Range owned = ownership.parts[entry.bucket];
  const std::int64_t begin = std::max(owned.begin, entry.offset);
  const std::int64_t end = std::min(owned.end, entry.offset + entry.parameter.numel());
  return {.of_parameter = {begin - entry.offset, end - entry.offset},
          .of_own = {begin - owned.begin, end - owned.begin}};
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerInputs& inputs) {
  using Maker = std::unique_ptr<Optimizer> (*)(const OptimizerInputs&);
  static constexpr Maker kMakers[] = {
#define LOCKSTEP_OPTIMIZER(Title, name, ...) make_##name,
#include "lockstep/job/optimizers.inc"
  };
  return kMakers[static_cast<std::size_t>(inputs.hyperparameters.optim)](inputs);
}

}  // namespace lockstep::train
