#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/data/dataset.h"
#include "lockstep/data/example.h"
#include "lockstep/data/tokenization_report.h"
#include "lockstep/data/tokenized_dataset.h"

namespace lockstep {

/// Takes examples in the order of the rows.
class ExampleSink {
 public:
  virtual ~ExampleSink() = default;
  virtual void add(ExampleBuilder::Result result) = 0;
};

struct TokenizeOptions {
  std::string name = "training";      // which set this is, for messages and the progress bar
  std::uint64_t vocabulary_size = 0;  // rows of the model's embedding
  std::size_t num_workers = 0;        // threads that tokenize; 0: one a core
  bool show_progress = false;
};

/// Tokenizes the rows of `datasets`, one after another, into `sink`: the same calls for any number of workers, from
/// this thread. Memory does not grow with the datasets.
///
/// Kept, with one warning a kind that gives the count: truncated inputs, truncated targets, empty outputs. Dropped and
/// counted by reason, with one warning: rows with neither input nor output, and decoder-only rows whose input has no
/// token to predict the answer from.
///
/// Throws InputError for a malformed row, a dataset without rows, a tokenizer whose vocabulary is larger than the
/// embedding, a row with a token beyond it, and if no example is left.
TokenizationReport tokenize_datasets(const std::vector<Dataset>& datasets, const ExampleBuilder& builder,
                                     ExampleSink& sink, const TokenizeOptions& options);

/// The same into memory.
std::unique_ptr<InMemoryTokenizedDataset> tokenize_in_memory(const std::vector<Dataset>& datasets,
                                                             const ExampleBuilder& builder,
                                                             const TokenizeOptions& options);

}  // namespace lockstep
