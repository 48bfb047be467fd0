#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/core/worker_pool.h"
#include "lockstep/data/dataset.h"
#include "lockstep/data/example.h"
#include "lockstep/data/row_plan.h"
#include "lockstep/data/tokenization_report.h"
#include "lockstep/data/tokenized_dataset.h"

namespace lockstep::data {

/// Takes rows in their order, each with the number of its shard, which never falls.
class ExampleSink {
 public:
  virtual ~ExampleSink() = default;
  /// Asked for each row before it is tokenized. False: the row need not be, its shard is written elsewhere.
  virtual bool wants(std::uint64_t shard) = 0;
  virtual void add(std::uint64_t shard, TokenizedRow row) = 0;
};

struct TokenizeOptions {
  std::string name = "training";      // which set this is, for messages and the progress bar
  std::uint64_t vocabulary_size = 0;  // rows of the model's embedding
  bool show_progress = false;
  RowSelection selection = {};
  std::uint64_t shard_text_bytes = 32 << 20;  // RowPlan's
};

/// Tokenizes the rows of `datasets`, one after another, into `sink`: the same calls for any number of threads, from
/// this one. Memory grows with the number of different rows alone, by the hashes that duplicates are found with
/// (RowHashSet). The report counts in `read` all rows of the set, and else those that the sink wanted.
///
/// Dropped and counted by reason: rows with neither input nor output, and decoder-only rows whose input has no token to
/// predict the answer from.
///
/// Throws InputError for a malformed row, a dataset without rows, a tokenizer whose vocabulary is larger than the
/// embedding, and a row with a token beyond it.
TokenizationReport tokenize_datasets(const std::vector<Dataset>& datasets, const ExampleBuilder& builder,
                                     ExampleSink& sink, const TokenizeOptions& options, core::WorkerPool& pool);

/// Throws InputError if no example is left. Else gives one warning a kind, with the count, for truncated inputs,
/// truncated targets, empty outputs and dropped rows. `name` says which set it is.
void check_report(const TokenizationReport& report, const ExampleBuilder& builder, const std::string& name);

/// tokenize_datasets() into memory, and check_report(); `num_workers` threads in all, 0: one a core.
std::unique_ptr<InMemoryTokenizedDataset> tokenize_in_memory(const std::vector<Dataset>& datasets,
                                                             const ExampleBuilder& builder,
                                                             const TokenizeOptions& options,
                                                             std::size_t num_workers = 0);

}  // namespace lockstep::data

namespace lockstep {
using data::tokenize_in_memory;
}  // namespace lockstep
