#pragma once

#include <cstdint>

#include "lockstep/job/choices.h"
#include "lockstep/job/optimizers.h"
#include "lockstep/models/model.h"

namespace lockstep::train {

// Estimates the time of a step on machines that are not at hand. docs/cost_model.md has the formulas and their sources.

/// The properties of a model that determine its memory and messages.
struct ModelSize {
  double parameters = 0;
  double trained = 0;              // parameters with gradients
  double in_layers = 0;            // parameters that optimizer_sharding: full gathers layer by layer
  double largest_layer = 0;        // parameters of the largest layer
  double activation_features = 0;  // per token, from its forward pass to its backward pass
  double layers = 0;
  double layer_kept_features = 0;  // per token, in the layer that keeps most
  double hidden_features = 0;      // passed from layer to layer, per token
  double vocabulary = 0;
  double shardable_state = 0;   // elements of optimizer state that ranks may share
  double replicated_state = 0;  // elements of optimizer state that every rank holds
};
/// Measures a model that is trained with the optimizer `optim`.
ModelSize measure_model(const LanguageModel& model, job::Optim optim);

/// The speed and memory of a rank's machine.
struct Machine {
  double flops = 0;                  // per second, as reached, not the peak
  double link_bytes_per_second = 0;  // sent by a rank while it receives as many
  double program_bytes = 0;          // of memory, for the program itself
};

/// The work of an average step of a job.
struct StepWork {
  double multiply_adds = 0;        // of the forward pass, on the rank with most
  double mean_multiply_adds = 0;   // mean over ranks
  double tokens = 0;               // of all ranks, without padding
  double passes = 1;               // micro-batches of the rank with most
  double largest_micro_batch = 0;  // in tokens
  bool recomputes_layers = false;  // gradient_checkpointing
};

/// Returns the bytes that a rank holds, except activations.
double held_bytes(const ModelSize& model, int ranks, job::OptimizerSharding sharding, double bucket_bytes);

/// Returns the bytes per token of a micro-batch that are held from its forward pass to its backward pass.
/// `recomputes_layers` means gradient_checkpointing.
double activation_bytes(const ModelSize& model, bool recomputes_layers);

struct StepEstimate {
  double memory_bytes = 0;     // of a rank
  double compute_s = 0;        // of the rank with most work
  double communication_s = 0;  // overlapped or not
  double step_s = 0;
  double tokens_per_second = 0;
  double efficiency = 0;  // mean compute time of the ranks as a share of the step
};

/// Estimates the time and memory of a step.
StepEstimate estimate_step(const ModelSize& model, const StepWork& work, const Machine& machine, int ranks,
                           job::OptimizerSharding sharding, double bucket_bytes);

}  // namespace lockstep::train
