#pragma once

#include <cstdint>
#include <string>

#include "lockstep/models/model.h"

namespace lockstep::train {

// What a step takes on machines that one does not have yet: docs/cost_model.md has the formulas and their sources.

/// What of a model's shape its memory and messages follow from.
struct ModelSize {
  double parameters = 0;
  double trained = 0;        // of them, those with gradients
  double in_layers = 0;      // of them, those that optimizer_sharding: full gathers layer by layer
  double largest_layer = 0;  // of the layer with most
  double kept_features = 0;  // of a token, from its forward pass to its backward pass
  double layers = 0;
  double layer_kept_features = 0;  // of them, the most in a layer
  double hidden_features = 0;      // that go from layer to layer
  double vocabulary = 0;
  double shared_state = 0;  // numbers that the optimizer remembers, of which ranks may share
  double whole_state = 0;   // and those that each of them holds
};
/// `optim` is a value of the job key.
ModelSize size_of(const LanguageModel& model, const std::string& optim);

/// What a rank computes with.
struct Machine {
  double flops = 0;                  // a second, as reached, not at its peak
  double link_bytes_per_second = 0;  // that a rank sends while it receives as many
  double program_bytes = 0;          // of memory, for the program itself
};

/// An average step of a job.
struct StepWork {
  double multiply_adds = 0;        // of the forward pass, of the rank with most
  double mean_multiply_adds = 0;   // of all ranks
  double tokens = 0;               // real ones, of all ranks
  double passes = 1;               // micro-batches of the rank with most
  double largest_micro_batch = 0;  // in tokens
  bool recomputes_layers = false;  // gradient_checkpointing
};

/// What a rank holds but activations. `sharding` is a value of the job key optimizer_sharding. Throws InputError for
/// another.
double held_bytes(const ModelSize& model, int ranks, const std::string& sharding, double bucket_bytes);

/// What a token of a micro-batch takes from its forward pass to its backward pass; `recomputes_layers`: with
/// gradient_checkpointing.
double activation_bytes(const ModelSize& model, bool recomputes_layers);

struct StepEstimate {
  double memory_bytes = 0;     // of a rank
  double compute_s = 0;        // of the rank with most
  double communication_s = 0;  // hidden or not
  double step_s = 0;
  double tokens_per_second = 0;
  double efficiency = 0;  // the ranks' mean computing as a share of the step
};

/// Throws as held_bytes() does.
StepEstimate estimate_step(const ModelSize& model, const StepWork& work, const Machine& machine, int ranks,
                           const std::string& sharding, double bucket_bytes);

}  // namespace lockstep::train
