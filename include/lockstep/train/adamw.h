#pragma once

#include <ATen/core/Tensor.h>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "lockstep/comm/parameter_layout.h"
#include "lockstep/core/hyperparameters.h"

namespace lockstep {

/// AdamW with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), on what a rank owns of the buckets of
/// all parameters (all of it, or its part: the first stage of ZeRO, Rajbhandari et al. 2020).
class AdamW {
 public:
  /// Updates `own`, flat fp32, what `ownership` gives of each bucket of `layout`; holds state for nothing else.
  AdamW(const ParameterLayout& layout, const Ownership& ownership, const std::vector<at::Tensor>& own,
        const Hyperparameters& hyperparameters);

  /// One update by `gradients`, of the shapes of `own`.
  void step(const std::vector<at::Tensor>& gradients, double learning_rate);

  /// The state: running means of the gradients and of their squares, of the shapes of `own`. What is copied into them
  /// counts from the next step on.
  const std::vector<at::Tensor>& means() const { return means_; }
  const std::vector<at::Tensor>& squares() const { return squares_; }
  /// Of all that is owned, so far.
  std::uint64_t updates() const { return updates_; }
  void set_updates(std::uint64_t updates) { updates_ = updates; }

 private:
  /// Those that weight decay applies to, or the others.
  struct Group {
    double weight_decay;
    std::vector<at::Tensor> parameters = {}, means = {}, squares = {};  // views
    std::vector<std::size_t> buckets = {};
    std::vector<Part> parts = {};  // of what is owned of the bucket
  };
  double beta1_, beta2_, epsilon_;
  std::vector<at::Tensor> means_, squares_;
  std::uint64_t updates_ = 0;
  at::Tensor updates_tensor_;  // a scalar, for the kernels
  std::vector<Group> groups_;
};

}  // namespace lockstep
