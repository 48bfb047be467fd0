#include "lockstep/train/optimizers/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <algorithm>
#include <utility>

#include "lockstep/sharding/zero_buffer.h"
#include "train/optimizers/adafactor.h"
#include "train/optimizers/adamw.h"
#include "train/optimizers/lion.h"

namespace lockstep::train {

void Optimizer::step(const std::vector<at::Tensor>& gradients, double learning_rate) {
  const at::NoGradGuard no_grad;
  ++updates_;
  update(gradients, learning_rate);
}

std::vector<at::Tensor> Optimizer::add_elementwise_state(const std::string& kind,
                                                         const sharding::ParameterLayout& layout,
                                                         const sharding::Ownership& ownership,
                                                         const std::vector<at::Tensor>& own) {
  std::vector<at::Tensor> remembered;
  for (const at::Tensor& part : own) remembered.push_back(sharding::zero_buffer(part.numel(), part.options()));
  for (const sharding::ParameterLayout::Entry& entry : layout.entries()) {
    const std::string name = entry.name + "/" + kind;
    state_sizes_.emplace(name, entry.parameter.numel());
    const OwnedRange part = owned_part(entry, ownership);
    if (part.of_own.size() <= 0) continue;
    state_.push_back(
        {name, part.of_parameter, remembered[entry.bucket].narrow(0, part.of_own.begin, part.of_own.size())});
  }
  return remembered;
}

std::vector<DecayRange> decayed_parts(const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
                                      double weight_decay) {
  std::vector<DecayRange> parts;
  for (const bool decayed : {true, false}) {
    for (std::size_t i = 0; i < layout.buckets().size(); ++i) {
      for (const auto& stretch : layout.buckets()[i].stretches) {
        const comm::Range owned = ownership.parts[i];
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

std::unique_ptr<Optimizer> make_optimizer(const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
                                          const std::vector<at::Tensor>& own, const Hyperparameters& hyperparameters,
                                          std::shared_ptr<Communicator> communicator) {
  if (hyperparameters.optim == job::Optim::kAdafactor) {
    return std::make_unique<Adafactor>(layout, ownership, own, hyperparameters, std::move(communicator));
  }
  if (hyperparameters.optim == job::Optim::kLion)
    return std::make_unique<Lion>(layout, ownership, own, hyperparameters);
  return std::make_unique<AdamW>(layout, ownership, own, hyperparameters);
}

}  // namespace lockstep::train
