#include "lockstep/train/checkpoints/state_copy.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <algorithm>

#include "train/checkpoints/optimizer_state.h"

namespace lockstep::train {
namespace {

void copy_to_host(const at::Tensor& tensor, at::Tensor& copy) {
  if (!copy.defined()) copy = at::empty(tensor.sizes(), tensor.options().device(at::kCPU));
  copy.copy_(tensor);
}

}  // namespace

void StateCopy::take(const sharding::ParameterLayout& layout, sharding::FlatParameters& parameters,
                     const Optimizer& optimizer, bool with_weights, bool with_moments) {
  const at::NoGradGuard no_grad;
  std::vector<bool> is_copied(layout.buckets().size(), !with_weights);
  for (std::size_t unit = 0; unit < layout.units(); ++unit) {
    parameters.gather(unit);
    for (const auto& entry : layout.entries()) {
      const auto& needed = layout.buckets_of(unit);
      const bool is_here = std::ranges::find(needed, entry.bucket) != needed.end();
      if (is_here && !is_copied[entry.bucket]) copy_to_host(entry.parameter.detach(), weights_[entry.name]);
    }
    for (const std::size_t bucket : layout.buckets_of(unit)) is_copied[bucket] = true;
    parameters.release(unit);
  }
  if (!with_moments) return;
  const auto moments = saved_state(optimizer);
  moments_.resize(moments.size());
  for (std::size_t i = 0; i < moments.size(); ++i) {
    moments_[i].first = moments[i].first;
    copy_to_host(moments[i].second, moments_[i].second);
  }
}

}  // namespace lockstep::train
