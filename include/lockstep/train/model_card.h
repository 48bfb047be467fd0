#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/job/hyperparameters.h"
#include "lockstep/models/model.h"
#include "lockstep/train/metric_sink.h"

namespace lockstep::train {

/// What a run started from, as far as its trainer knows.
struct RunOrigin {
  std::string model = {};     // folder, or name on the hub; empty: unknown
  bool from_scratch = false;  // whether only config.json and tokenizer come from the model
  std::string job = {};       // lines of a job file; empty: only the hyperparameters are known
};

/// The training set or the validation set of a run.
struct SetSummary {
  std::uint64_t rows = 0;  // that were trained on or evaluated
  std::uint64_t input_tokens = 0;
  std::uint64_t target_tokens = 0;
  std::optional<data::ExampleOrigin> origin = {};  // none: unknown, or held out from the training rows

  static SetSummary of(const TokenizedDataset& used, std::optional<data::ExampleOrigin> origin);
};

/// The content of a trained model's README.md.
struct ModelCard {
  const models::ModelInfo& model;
  RunOrigin origin = {};
  Hyperparameters hyperparameters = {};
  std::string library_name = "transformers";  // of the library that opens the folder
  int ranks = 1;
  int threads = 1;  // per rank
  std::uint64_t global_batch_size = 0;
  SetSummary training = {};
  std::optional<SetSummary> validation = {};  // none: no evaluation
  bool validation_set_apart = false;          // whether it was held out from the training rows, by test_size
  std::vector<EpochMetrics> epochs = {};
};

/// Returns a model card for the hub: YAML that huggingface_hub's ModelCard reads, and Markdown.
std::string to_markdown(const ModelCard& card);

}  // namespace lockstep::train
