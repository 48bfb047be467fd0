#pragma once

#include <ATen/core/Tensor.h>
#include <memory>

#include "lockstep/comm/communicator.h"
#include "lockstep/comm/parameter_layout.h"

namespace lockstep {

/// Sums gradients over ranks. Every parameter's gradient is a view of one flat buffer, so that backward passes add into
/// it directly, and one collective reduces all of them.
class GradientReducer {
 public:
  /// Gives every parameter of `layout` a zero gradient within the flat buffer.
  GradientReducer(const ParameterLayout& layout, std::shared_ptr<Communicator> communicator);

  void zero();
  /// Sums over ranks; call once all micro-batches of the step have run backward. Every rank then holds the same bits.
  void reduce();
  /// All gradients, [layout.size()] fp32, in the layout's order.
  const at::Tensor& flat() const { return flat_; }

 private:
  at::Tensor flat_;
  std::shared_ptr<Communicator> communicator_;
};

}  // namespace lockstep
