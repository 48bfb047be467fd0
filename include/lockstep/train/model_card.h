#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/job/hyperparameters.h"
#include "lockstep/models/model.h"
#include "lockstep/train/metric_sink.h"

namespace lockstep::train {

/// What a run started from; its trainer may not know it.
struct RunOrigin {
  std::string model = {};     // folder, or name of the hub; empty: unknown
  bool from_scratch = false;  // of the model, config.json and tokenizer alone
  std::string job = {};       // lines of a job file; empty: the hyperparameters alone are known
};

/// One set of a run.
struct SetSummary {
  std::uint64_t rows = 0;  // that were trained on, or evaluated
  std::uint64_t input_tokens = 0;
  std::uint64_t target_tokens = 0;
  std::optional<data::ExampleOrigin> origin = {};  // none: unknown, or that of training

  static SetSummary of(const TokenizedDataset& used, std::optional<data::ExampleOrigin> origin);
};

/// What README.md tells of a trained model.
struct ModelCard {
  const models::ModelInfo& model;
  RunOrigin origin = {};
  Hyperparameters hyperparameters = {};
  std::string library_name = "transformers";  // that opens the folder
  int ranks = 1;
  int threads = 1;  // of a rank
  std::uint64_t global_batch_size = 0;
  SetSummary training = {};
  std::optional<SetSummary> validation = {};  // none: no evaluation
  bool validation_set_apart = false;          // from the training rows, by test_size
  std::vector<EpochMetrics> epochs = {};
};

/// A model card of the hub: YAML that huggingface_hub's ModelCard reads, and Markdown.
std::string to_markdown(const ModelCard& card);

}  // namespace lockstep::train
