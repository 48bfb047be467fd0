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

/// A range of an optimizer's state for a parameter, e.g. of AdamW's "exp_avg".
struct OptimizerStateRange {
  std::string name;      // of the parameter and the kind of state, e.g. "lm_head.weight/exp_avg"
  comm::Range part;      // of all state with this name, flattened
  at::Tensor tensor;     // flat fp32, a view of the state
  bool is_saved = true;  // by this rank; if not, by another that holds the same
};

/// What an optimizer is made from.
struct OptimizerInputs {
  const sharding::ParameterLayout& layout;
  const sharding::Ownership& ownership;
  const std::vector<at::Tensor>&
      own;  // flat fp32 tensors with what `ownership` gives of each bucket; the optimizer updates them
  const Hyperparameters& hyperparameters;
  std::shared_ptr<Communicator> communicator;  // connects the ranks that share the parameters
};

/// Updates what a rank owns of all parameters' buckets: all of it, or its range (stage 1 of ZeRO, Rajbhandari et al.
/// 2020).
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Applies one update with `gradients`, which have the shapes of what is owned; their values afterwards are
  /// unspecified. All ranks must call it.
  void step(const std::vector<at::Tensor>& gradients, double learning_rate);

  /// Returns the state that this rank holds. Values that are copied into it take effect with the next step.
  const std::vector<OptimizerStateRange>& state() const { return state_; }
  /// Returns the number of elements of each named state on all ranks together.
  const std::map<std::string, std::int64_t>& state_sizes() const { return state_sizes_; }
  /// Returns the number of updates so far.
  std::uint64_t updates() const { return updates_; }
  void set_updates(std::uint64_t updates) { updates_ = updates; }

 protected:
  Optimizer() = default;
  virtual void update(const std::vector<at::Tensor>& gradients, double learning_rate) = 0;
  /// Creates a number for each owned element, 0 at first, as state `kind`, in tensors with the shapes of `own`.
  std::vector<at::Tensor> add_elementwise_state(const std::string& kind, const OptimizerInputs& inputs);

  std::vector<OptimizerStateRange> state_;
  std::map<std::string, std::int64_t> state_sizes_;

 private:
  std::uint64_t updates_ = 0;
};

/// Elements that a thread of the host updates at a time, few enough for intermediate results to stay in its cache.
inline constexpr std::int64_t kChunkElements = 1 << 15;

/// The owned part of a range of a bucket to which the same weight decay applies.
struct DecayRange {
  std::size_t bucket;
  comm::Range part;  // range within what is owned of the bucket
  double weight_decay;
};
/// Returns all that is owned: first the ranges with weight decay, then the others.
std::vector<DecayRange> decayed_parts(const OptimizerInputs& inputs);

/// The owned part of a parameter.
struct OwnedRange {
  comm::Range of_parameter;  // range of the flat parameter; its size is not positive if nothing is owned
  comm::Range of_own;        // range within what is owned of the bucket
};
OwnedRange owned_part(const sharding::ParameterLayout::Entry& entry, const sharding::Ownership& ownership);

/// Creates the optimizer that the job key `optim` names. It keeps no reference to `inputs`.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerInputs& inputs);

}  // namespace lockstep::train
