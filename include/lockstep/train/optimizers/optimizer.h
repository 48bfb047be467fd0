#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/comm/communicator.h"
#include "lockstep/job/hyperparameters.h"
#include "lockstep/sharding/parameter_layout.h"

namespace lockstep::train {

/// A stretch of what an optimizer remembers of a parameter, e.g. of AdamW's "exp_avg".
struct OptimizerStretch {
  std::string name;      // of the parameter and of what is remembered, e.g. "lm_head.weight/exp_avg"
  comm::Part part;       // of all that is remembered under this name, in its flat order
  at::Tensor tensor;     // flat fp32, a view of the state
  bool is_saved = true;  // by this rank; else by another, which holds the same
};

/// Updates what a rank owns of the buckets of all parameters: all of it, or its part (the first stage of ZeRO,
/// Rajbhandari et al. 2020).
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update by `gradients`, of the shapes of what is owned; what they hold afterwards is undefined. All ranks call
  /// it alike.
  void step(const std::vector<at::Tensor>& gradients, double learning_rate);

  /// What this rank remembers. What is copied into it counts from the next step on.
  const std::vector<OptimizerStretch>& state() const { return state_; }
  /// The numbers that all ranks together remember under each name.
  const std::map<std::string, std::int64_t>& state_sizes() const { return state_sizes_; }
  /// Of all that is owned, so far.
  std::uint64_t updates() const { return updates_; }
  void set_updates(std::uint64_t updates) { updates_ = updates; }

 protected:
  Optimizer() = default;
  virtual void update(const std::vector<at::Tensor>& gradients, double learning_rate) = 0;
  /// Remembers a number for each element that is owned, from 0, as `kind`: in tensors of the shapes of `own`.
  std::vector<at::Tensor> remember_each(const std::string& kind, const sharding::ParameterLayout& layout,
                                        const sharding::Ownership& ownership, const std::vector<at::Tensor>& own);

  std::vector<OptimizerStretch> state_;
  std::map<std::string, std::int64_t> state_sizes_;

 private:
  std::uint64_t updates_ = 0;
};

/// Elements that a thread of the host updates at a time: what operations on them pass on stays in its cache.
inline constexpr std::int64_t kPieceElements = 1 << 15;

/// What is owned of a stretch of a bucket to which the same weight decay applies.
struct DecayedPart {
  std::size_t bucket;
  comm::Part part;  // of what is owned of the bucket
  double weight_decay;
};
/// All that is owned: first what weight decay applies to, then the rest.
std::vector<DecayedPart> decayed_parts(const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
                                       double weight_decay);

/// What is owned of a parameter.
struct OwnedPart {
  comm::Part of_parameter;  // in its flat order; not positive in size if nothing is
  comm::Part of_own;        // of what is owned of the bucket
};
OwnedPart owned_part(const sharding::ParameterLayout::Entry& entry, const sharding::Ownership& ownership);

/// The one that the job key `optim` names, of `own`: flat fp32, what `ownership` gives of each bucket of `layout`.
/// `communicator` is that of the ranks that share it.
std::unique_ptr<Optimizer> make_optimizer(const sharding::ParameterLayout& layout, const sharding::Ownership& ownership,
                                          const std::vector<at::Tensor>& own, const Hyperparameters& hyperparameters,
                                          std::shared_ptr<Communicator> communicator);

}  // namespace lockstep::train
