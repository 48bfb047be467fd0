#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "lockstep/job/named_values.h"

namespace lockstep::job {

/// The values of the job key `optim`: kAdamW and so on, one for each row of optimizers.inc.
enum class Optim {
#define LOCKSTEP_OPTIMIZER(Title, name, ...) k##Title,
#include "lockstep/job/optimizers.inc"
};
template <>
struct NamesOf<Optim> {
  static constexpr auto kNames = std::to_array<Named<Optim>>({
#define LOCKSTEP_OPTIMIZER(Title, name, ...) {Optim::k##Title, #name},
#include "lockstep/job/optimizers.inc"
      // The Hugging Face Trainer has several names for AdamW, one for each implementation.
      {Optim::kAdamW, "adamw_torch"},
      {Optim::kAdamW, "adamw_torch_fused"},
      {Optim::kAdamW, "adamw_hf"},
  });
};

/// What code outside the optimizer needs to know about it.
struct OptimizerFacts {
  Optim optim;
  std::string_view title;         // as people write it
  int state_per_element;          // fp32 numbers for each trained element, which ranks may share
  bool factors_matrices = false;  // for a matrix: one number for each row and column instead, on every rank
  bool reads_betas = false;       // adam_beta1 and adam_beta2
  bool reads_epsilon = false;     // adam_epsilon
};

/// All optimizers, in the order of Optim.
inline constexpr OptimizerFacts kOptimizers[] = {
#define LOCKSTEP_OPTIMIZER(Title, name, ...) {.optim = Optim::k##Title, .title = #Title, __VA_ARGS__},
#include "lockstep/job/optimizers.inc"
};

constexpr const OptimizerFacts& facts_of(Optim optim) { return kOptimizers[static_cast<std::size_t>(optim)]; }

/// Returns the titles of the optimizers of which `fact` is true, e.g. "AdamW and Lion".
std::string titles_of_optimizers(bool OptimizerFacts::*fact);

}  // namespace lockstep::job
