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

/// Consumes tokenized rows in order, each with its shard number, which never decreases.
class ExampleSink {
 public:
  virtual ~ExampleSink() = default;
  /// Called for each row before it is tokenized. Returns false if the row need not be tokenized because its shard is
  /// written elsewhere.
  virtual bool wants(std::uint64_t shard) = 0;
  virtual void add(std::uint64_t shard, TokenizedRow row) = 0;
};

struct TokenizeOptions {
  std::string name = "training";      // name of the set, for messages and the progress bar
  std::uint64_t vocabulary_size = 0;  // rows of the model's embedding
  bool show_progress = false;
  RowSelection selection = {};
  std::uint64_t shard_text_bytes = 32 << 20;  // see RowPlan
};

/// Tokenizes the rows of `datasets`, in order, into `sink`. The sink is called from this thread, with the same calls
/// for any number of worker threads. Only the hashes of distinct rows accumulate in memory (RowHashSet). In the report,
/// `read` counts all rows of the set; the other counts cover only the rows that the sink wanted.
///
/// Drops, and counts by reason, rows with neither input nor output, and decoder-only rows whose input has no token to
/// predict the answer from.
///
/// Throws InputError for a malformed row, a dataset without rows, a tokenizer whose vocabulary is larger than the
/// embedding, and a row with a token id beyond the embedding.
TokenizationReport tokenize_datasets(const std::vector<Dataset>& datasets, const ExampleBuilder& builder,
                                     ExampleSink& sink, const TokenizeOptions& options, core::WorkerPool& pool);

/// Throws InputError if no example is left. Otherwise logs one warning each, with the count, for truncated inputs,
/// truncated targets, empty outputs and dropped rows. `name` is the name of the set.
void check_report(const TokenizationReport& report, const ExampleBuilder& builder, const std::string& name);

/// Runs tokenize_datasets() into memory, then check_report(). Uses `num_workers` threads in total; 0 means one per
/// core.
std::unique_ptr<InMemoryTokenizedDataset> tokenize_in_memory(const std::vector<Dataset>& datasets,
                                                             const ExampleBuilder& builder,
                                                             const TokenizeOptions& options,
                                                             std::size_t num_workers = 0);

}  // namespace lockstep::data

namespace lockstep {
using data::tokenize_in_memory;
}  // namespace lockstep
