#include "lockstep/data/tokenize_datasets.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "lockstep/core/error.h"
#include "lockstep/core/ordered_pipeline.h"
#include "lockstep/core/progress.h"
#include "lockstep/data/contained_output.h"
#include "lockstep/data/model_folder.h"
#include "lockstep/data/row_hash.h"

namespace lockstep::data {
namespace {

constexpr const char* kEmptyRow = "neither input nor output";
constexpr const char* kEmptyInput = "empty input (a decoder-only model has no token to predict the answer from)";

struct PositionedRow {
  Row row;
  std::string position;
};

// The rows of a block up to the first invalid one.
struct ParsedBlock {
  std::vector<PositionedRow> rows;
  std::vector<RowHash> hashes;  // one per row
  std::exception_ptr problem;   // the error of the first invalid row; null if all are valid
};

ParsedBlock parse(std::unique_ptr<RowReader> block) {
  ParsedBlock parsed;
  RowHasher hasher;
  try {
    while (auto row = block->next()) {
      parsed.hashes.push_back(hasher(*row));
      parsed.rows.push_back({std::move(*row), block->position()});
    }
  } catch (...) {
    parsed.problem = std::current_exception();
  }
  return parsed;
}

// Consecutive rows of one shard.
struct Chunk {
  std::uint64_t shard = 0;
  std::vector<PositionedRow> rows;
};

struct TokenizedChunk {
  std::uint64_t shard = 0;
  std::vector<TokenizedRow> rows;
};

class RowTokenizer {
 public:
  RowTokenizer(const ExampleBuilder& builder, std::uint64_t vocabulary_size)
      : builder_(builder), vocabulary_size_(vocabulary_size) {}

  // NOLINTNEXTLINE(performance-unnecessary-value-param): the positions are moved out of it
  TokenizedChunk operator()(Chunk chunk) const {
    TokenizedChunk tokenized{chunk.shard, {}};
    tokenized.rows.reserve(chunk.rows.size());
    for (auto& [row, position] : chunk.rows) tokenized.rows.push_back(tokenize(row, std::move(position)));
    return tokenized;
  }

 private:
  TokenizedRow tokenize(const Row& row, std::string position) const {
    TokenizedRow tokenized{std::move(position), {}};
    if (row.model_input.empty() && row.model_output.empty()) {
      tokenized.dropped = kEmptyRow;
      return tokenized;
    }
    try {
      tokenized.result = builder_.build(row);
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}: {}", tokenized.position, error.what()));
    }
    const std::vector<TokenId>& input = tokenized.result.example.input;
    check_token_ids(tokenized.result.example, vocabulary_size_, builder_.tokenizer(), tokenized.position);
    // An input that the length limit truncated to nothing is counted as truncated, not as empty.
    if (!builder_.has_encoder() && input.empty() && !tokenized.result.input_truncated) tokenized.dropped = kEmptyInput;
    return tokenized;
  }

  const ExampleBuilder& builder_;
  std::uint64_t vocabulary_size_;
};

// Progress in bytes over several files.
class ReadingProgress {
 public:
  ReadingProgress(const std::vector<Dataset>& datasets, const TokenizeOptions& options) {
    for (const auto& dataset : datasets) {
      kilobytes_.push_back(0);
      for (const auto& file : dataset.files()) {
        std::error_code error;
        const auto bytes = std::filesystem::file_size(file, error);
        if (!error) kilobytes_.back() += static_cast<double>(bytes) / 1024;
      }
    }
    double total = 0;
    for (const double kilobytes : kilobytes_) total += kilobytes;
    bar_.emplace("tokenizing " + options.name, "kilobyte", static_cast<std::uint64_t>(total), options.show_progress);
  }
  void update(std::size_t dataset, double share, std::uint64_t rows) {
    double done = share * kilobytes_[dataset];
    for (std::size_t i = 0; i < dataset; ++i) done += kilobytes_[i];
    bar_->update(static_cast<std::uint64_t>(done), fmt::format("{} rows", rows));
  }

 private:
  std::vector<double> kilobytes_;
  std::optional<core::Progress> bar_;
};

void warn(const TokenizationReport& report, const ExampleBuilder& builder, const std::string& name) {
  const auto share = [&](std::uint64_t count) { return fmt::format("{} of {}", count, report.examples); };
  const std::size_t limit = builder.max_length().value_or(0);
  if (report.truncated_inputs > 0) {
    spdlog::warn("{} data: {} inputs were truncated {} to keep model_max_length {}", name,
                 share(report.truncated_inputs), builder.has_encoder() ? "at their end" : "at their beginning", limit);
  }
  if (report.truncated_targets > 0) {
    spdlog::warn("{} data: {} outputs were too long for model_max_length {} and truncated at their end{}", name,
                 share(report.truncated_targets), limit,
                 builder.has_encoder() ? "" : "; the model cannot learn to stop from these");
  }
  if (report.empty_outputs > 0) {
    spdlog::warn("{} data: {} outputs are empty; the model learns to answer nothing from these", name,
                 share(report.empty_outputs));
  }
  if (report.doubled_bos > 0) {
    spdlog::warn(
        "{} data: {} inputs begin with BOS twice, because their text begins with it as well; remove it from "
        "the rows or from prompt_template",
        name, share(report.doubled_bos));
  }
  if (report.doubled_eos > 0) {
    spdlog::warn(
        "{} data: {} examples have a text that ends with EOS twice, because it spells EOS as well; remove it "
        "from the rows or from the templates",
        name, share(report.doubled_eos));
  }
  if (report.dropped_rows() > 0) {
    std::vector<std::string> reasons;
    for (const auto& [reason, count] : report.dropped) reasons.push_back(fmt::format("{}: {}", count, reason));
    if (report.read.duplicates_dropped && report.read.duplicates > 0) {
      reasons.push_back(fmt::format("{}: equal to an earlier row", report.read.duplicates));
    }
    spdlog::warn("{} data: {} of {} rows were dropped: {}", name, report.dropped_rows(), report.read.rows,
                 fmt::join(reasons, "; "));
  }
}

// Enough to keep all threads busy while one of them fills or writes a shard.
std::size_t blocks_in_flight(const core::WorkerPool& pool) { return std::max<std::size_t>(16, 4 * pool.num_threads()); }

// Takes rows from datasets to the sink. The pool parses blocks, the caller's thread plans their rows in order, and the
// pool tokenizes those rows that the plan and the sink want.
class Tokenizing {
 public:
  Tokenizing(const ExampleBuilder& builder, ExampleSink& sink, const TokenizeOptions& options,
             ContainedOutputs contained_outputs, core::WorkerPool& pool)
      : builder_(builder),
        contained_outputs_(contained_outputs),
        sink_(sink),
        plan_(options.selection, options.shard_text_bytes),
        parsing_(pool, blocks_in_flight(pool), parse, [this](ParsedBlock block) { plan(std::move(block)); }),
        tokenizing_(pool, blocks_in_flight(pool), RowTokenizer(builder, options.vocabulary_size),
                    [this](TokenizedChunk chunk) { forward_to_sink(std::move(chunk)); }) {
    report_.read.duplicates_dropped = options.selection.deduplicate;
  }

  // Reads a dataset to its end. Calls `progress` now and then with the share read and the number of rows of all
  // datasets.
  void read(const Dataset& dataset, const std::function<void(double, std::uint64_t)>& progress) {
    const auto blocks = open_blocks_for_model(dataset, builder_.tokenizer(), contained_outputs_);
    rows_of_dataset_ = 0;
    try {
      while (auto block = blocks->next()) {
        parsing_.push(std::move(block));
        progress(blocks->progress(), report_.read.rows);
      }
    } catch (...) {
      parsing_.finish();  // an error of an earlier row takes precedence, whatever the number of threads
      throw;
    }
    parsing_.finish();
    if (rows_of_dataset_ == 0) {
      throw InputError(
          fmt::format("{}: expected at least one row, found none; fill the dataset or leave it out", dataset.name()));
    }
    report_.read.dataset_rows.push_back(rows_of_dataset_);
  }

  // Waits until all rows that were read are tokenized.
  void finish() { tokenizing_.finish(); }

  TokenizationReport take_report() {
    report_.read.compared_rows = plan_.compared_rows();
    return std::move(report_);
  }

 private:
  void plan(ParsedBlock block) {
    Chunk chunk;
    const auto push = [&] {
      if (!chunk.rows.empty()) tokenizing_.push(std::exchange(chunk, {}));
    };
    rows_of_dataset_ += block.rows.size();
    for (std::size_t i = 0; i < block.rows.size(); ++i) {
      const auto shard = place(block.rows[i], block.hashes[i]);
      if (!shard || !sink_.wants(*shard)) continue;
      if (chunk.shard != *shard) push();
      chunk.shard = *shard;
      chunk.rows.push_back(std::move(block.rows[i]));
    }
    push();
    if (block.problem) std::rethrow_exception(block.problem);
  }

  std::optional<std::uint64_t> place(const PositionedRow& positioned, const RowHash& hash) {
    const auto& [row, position] = positioned;
    const RowPlan::Place place = plan_.place(hash, row.model_input.size() + row.model_output.size());
    if (!place.in_set) return std::nullopt;
    RowsRead& read = report_.read;
    ++read.rows;
    if (place.duplicate && ++read.duplicates <= TokenizationReport::kMaxNamedRows) {
      read.first_duplicates.push_back(position);
    }
    return place.shard;
  }

  void forward_to_sink(TokenizedChunk chunk) {
    for (auto& row : chunk.rows) {
      report_.add(row);
      sink_.add(chunk.shard, std::move(row));
    }
  }

  const ExampleBuilder& builder_;
  ContainedOutputs contained_outputs_;
  ExampleSink& sink_;
  RowPlan plan_;
  TokenizationReport report_;
  std::uint64_t rows_of_dataset_ = 0;
  core::OrderedPipeline<std::unique_ptr<RowReader>, ParsedBlock> parsing_;
  core::OrderedPipeline<Chunk, TokenizedChunk> tokenizing_;
};

}  // namespace

TokenizationReport tokenize_datasets(const std::vector<Dataset>& datasets, const ExampleBuilder& builder,
                                     ExampleSink& sink, const TokenizeOptions& options, core::WorkerPool& pool) {
  check_vocabulary(builder.tokenizer(), options.vocabulary_size);
  if (datasets.empty())
    throw InputError(fmt::format("{} data: expected at least one dataset, found none", options.name));
  const auto contained_outputs = find_contained_outputs(datasets, builder.tokenizer(), builder.has_encoder());
  Tokenizing tokenizing(builder, sink, options, contained_outputs, pool);
  ReadingProgress progress(datasets, options);
  try {
    for (std::size_t i = 0; i < datasets.size(); ++i) {
      tokenizing.read(datasets[i], [&](double share, std::uint64_t rows) { progress.update(i, share, rows); });
    }
  } catch (...) {
    tokenizing.finish();  // an error of an earlier row takes precedence, whatever the number of threads
    throw;
  }
  tokenizing.finish();
  return tokenizing.take_report();
}

void check_report(const TokenizationReport& report, const ExampleBuilder& builder, const std::string& name) {
  if (report.read.rows == 0) {
    throw InputError(
        fmt::format("{} data: expected at least one row, found none: the split by row hash left none; change "
                    "validation_split, or add rows",
                    name));
  }
  if (report.examples == 0) {
    throw InputError(
        fmt::format("{} data: expected at least one example, found none: all {} rows were dropped; fill "
                    "model_input and model_output",
                    name, report.read.rows));
  }
  warn(report, builder, name);
}

std::unique_ptr<InMemoryTokenizedDataset> tokenize_in_memory(const std::vector<Dataset>& datasets,
                                                             const ExampleBuilder& builder,
                                                             const TokenizeOptions& options, std::size_t num_workers) {
  struct MemorySink final : ExampleSink {
    std::vector<Example> examples;
    bool wants(std::uint64_t) override { return true; }
    void add(std::uint64_t, TokenizedRow row) override {
      if (row.dropped == nullptr) examples.push_back(std::move(row.result.example));
    }
  } sink;
  core::WorkerPool pool(num_workers);
  ExampleOrigin origin{.datasets = {}, .report = tokenize_datasets(datasets, builder, sink, options, pool)};
  check_report(origin.report, builder, options.name);
  for (const Dataset& dataset : datasets) origin.datasets.push_back(dataset.name());
  return std::make_unique<InMemoryTokenizedDataset>(std::move(sink.examples), builder.has_encoder(),
                                                    builder.tokenizer().digest(), std::move(origin));
}

}  // namespace lockstep::data
