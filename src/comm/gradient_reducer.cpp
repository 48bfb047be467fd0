#include "lockstep/comm/gradient_reducer.h"

#include <ATen/ATen.h>
#include <utility>

namespace lockstep {

GradientReducer::GradientReducer(const ParameterLayout& layout, std::shared_ptr<Communicator> communicator)
    : flat_(at::zeros({layout.size()}, at::kFloat)), communicator_(std::move(communicator)) {
  for (const auto& entry : layout.entries()) entry.parameter.mutable_grad() = ParameterLayout::view(flat_, entry);
}

void GradientReducer::zero() { flat_.zero_(); }

void GradientReducer::reduce() { communicator_->all_reduce_sum(flat_); }

}  // namespace lockstep
