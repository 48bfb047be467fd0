#pragma once

#include <vector>

#include "lockstep/data/dataset.h"
#include "lockstep/generation/trained_model.h"
#include "lockstep/job/hyperparameters.h"

namespace lockstep::train {

/// Trains models with a fixed set of hyperparameters. Subclass it for other architectures or strategies.
class BaseTrainer {
 public:
  virtual ~BaseTrainer() = default;

  /// Trains on all rows of `training_datasets` together and returns the trained model and its tokenizer, ready for
  /// inference or further fine-tuning. Hyperparameters are given by name (job/hyperparameters.h). Throws InputError if
  /// one is unknown or out of range, or if a dataset cannot be read.
  virtual TrainedModel train_model(const std::vector<Dataset>& training_datasets,
                                   const HyperparameterChoices& hyperparameters = {},
                                   const std::vector<Dataset>& validation_datasets = {}) = 0;
};

}  // namespace lockstep::train

namespace lockstep {
using train::BaseTrainer;
}  // namespace lockstep
