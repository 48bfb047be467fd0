#pragma once

#include <array>

#include "lockstep/job/named_values.h"

namespace lockstep::job {

// The values of job keys that are one of several names. docs/job-file.md says what each does.

/// What the ranks share: the stages of ZeRO, each of which also shares what the previous one shares.
enum class OptimizerSharding { kNone, kState, kStateAndGradients, kFull };
template <>
struct NamesOf<OptimizerSharding> {
  using enum OptimizerSharding;
  static constexpr auto kNames = std::to_array<Named<OptimizerSharding>>(
      {{kNone, "none"}, {kState, "state"}, {kStateAndGradients, "state_and_gradients"}, {kFull, "full"}});
};
constexpr bool shares_state(OptimizerSharding sharding) { return sharding >= OptimizerSharding::kState; }
constexpr bool shares_gradients(OptimizerSharding sharding) {
  return sharding >= OptimizerSharding::kStateAndGradients;
}
constexpr bool shares_parameters(OptimizerSharding sharding) { return sharding == OptimizerSharding::kFull; }

}  // namespace lockstep::job
