#include "lockstep/data/tokenize_datasets.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <functional>
#include <optional>
#include <thread>
#include <utility>

#include "lockstep/core/error.h"
#include "lockstep/core/progress.h"
#include "lockstep/data/contained_output.h"
#include "lockstep/data/model_folder.h"
#include "ordered_pipeline.h"

namespace lockstep {
namespace {

// A chunk is small enough that threads end together, and large enough that handing it over costs nothing.
constexpr std::size_t kChunkRows = 256;
constexpr std::size_t kChunkTextBytes = 256 << 10;
constexpr const char* kEmptyRow = "neither input nor output";
constexpr const char* kEmptyInput = "empty input (a decoder-only model has no token to predict the answer from)";

// Rows of one shard.
struct Chunk {
  std::uint64_t shard = 0;
  std::vector<Row> rows;
  std::vector<std::string> positions;
  std::size_t text_bytes = 0;

  void add(Row row, std::string position) {
    text_bytes += row.model_input.size() + row.model_output.size();
    rows.push_back(std::move(row));
    positions.push_back(std::move(position));
  }
  bool is_full() const { return rows.size() == kChunkRows || text_bytes >= kChunkTextBytes; }
};

struct TokenizedChunk {
  std::uint64_t shard = 0;
  std::vector<TokenizedRow> rows;
};

using TokenizingPipeline = OrderedPipeline<Chunk, TokenizedChunk>;

class RowTokenizer {
 public:
  RowTokenizer(const ExampleBuilder& builder, std::uint64_t vocabulary_size)
      : builder_(builder), vocabulary_size_(vocabulary_size) {}

  TokenizedChunk operator()(Chunk chunk) const {
    TokenizedChunk tokenized{chunk.shard, {}};
    tokenized.rows.reserve(chunk.rows.size());
    for (std::size_t i = 0; i < chunk.rows.size(); ++i) {
      tokenized.rows.push_back(tokenize(chunk.rows[i], std::move(chunk.positions[i])));
    }
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
    // An input that the length limit cut away altogether is the limit's doing, and counted as truncated.
    if (!builder_.has_encoder() && input.empty() && !tokenized.result.input_truncated) tokenized.dropped = kEmptyInput;
    return tokenized;
  }

  const ExampleBuilder& builder_;
  std::uint64_t vocabulary_size_;
};

// Progress over several files, by their bytes.
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
  std::optional<Progress> bar_;
};

void warn(const TokenizationReport& report, const ExampleBuilder& builder, const std::string& name) {
  const auto share = [&](std::uint64_t count) { return fmt::format("{} of {}", count, report.examples); };
  const std::size_t limit = builder.max_length().value_or(0);
  if (report.truncated_inputs > 0) {
    spdlog::warn("{} data: {} inputs were cut {} to keep model_max_length {}", name, share(report.truncated_inputs),
                 builder.has_encoder() ? "at their end" : "at their beginning", limit);
  }
  if (report.truncated_targets > 0) {
    spdlog::warn("{} data: {} outputs were too long for model_max_length {} and cut at their end{}", name,
                 share(report.truncated_targets), limit,
                 builder.has_encoder() ? "" : "; these teach no end of the answer");
  }
  if (report.empty_outputs > 0) {
    spdlog::warn("{} data: {} outputs are empty; these teach to answer nothing", name, share(report.empty_outputs));
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

// Reads datasets, and hands on what the plan and the sink want of them.
class Reading {
 public:
  Reading(const ExampleBuilder& builder, const TokenizeOptions& options, ExampleSink& sink,
          TokenizingPipeline& pipeline, TokenizationReport& report)
      : builder_(builder),
        plan_(options.selection, options.shard_text_bytes),
        sink_(sink),
        pipeline_(pipeline),
        report_(report) {
    report_.read.duplicates_dropped = options.selection.deduplicate;
  }

  // Reads to the end. `progress` takes the share read, now and then.
  void read(const Dataset& dataset, const std::function<void(double)>& progress) {
    const auto reader = open_for_model(dataset, builder_.tokenizer(), builder_.has_encoder());
    std::uint64_t rows = 0;
    while (auto row = reader->next()) {
      if (++rows % kChunkRows == 0) progress(reader->progress());
      take(std::move(*row), *reader);
    }
    if (rows == 0) {
      throw InputError(
          fmt::format("{}: expected at least one row, found none; fill the dataset or leave it out", dataset.name()));
    }
    report_.read.dataset_rows.push_back(rows);
  }

  void finish() {
    push();
    pipeline_.finish();
    report_.read.compared_rows = plan_.compared_rows();
  }

 private:
  void take(Row row, const RowReader& reader) {
    const RowPlan::Place place = plan_.place(row);
    if (!place.in_set) return;
    ++report_.read.rows;
    if (place.duplicate) {
      RowsRead& read = report_.read;
      if (++read.duplicates <= TokenizationReport::kNamedRows) read.first_duplicates.push_back(reader.position());
    }
    if (!place.shard || !sink_.wants(*place.shard)) return;
    if (chunk_.shard != *place.shard) push();
    chunk_.shard = *place.shard;
    chunk_.add(std::move(row), reader.position());
    if (chunk_.is_full()) push();
  }

  void push() {
    if (!chunk_.rows.empty()) pipeline_.push(std::exchange(chunk_, {}));
  }

  const ExampleBuilder& builder_;
  RowPlan plan_;
  ExampleSink& sink_;
  TokenizingPipeline& pipeline_;
  TokenizationReport& report_;
  Chunk chunk_;
};

std::size_t worker_count(std::size_t requested) {
  return requested > 0 ? requested : std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace

TokenizationReport tokenize_datasets(const std::vector<Dataset>& datasets, const ExampleBuilder& builder,
                                     ExampleSink& sink, const TokenizeOptions& options) {
  check_vocabulary(builder.tokenizer(), options.vocabulary_size);
  if (datasets.empty())
    throw InputError(fmt::format("{} data: expected at least one dataset, found none", options.name));
  TokenizationReport report;
  const auto consume = [&](TokenizedChunk chunk) {
    for (auto& row : chunk.rows) {
      report.add(row);
      sink.add(chunk.shard, std::move(row));
    }
  };
  TokenizingPipeline pipeline(worker_count(options.num_workers), RowTokenizer(builder, options.vocabulary_size),
                              consume);
  ReadingProgress progress(datasets, options);
  Reading reading(builder, options, sink, pipeline, report);
  try {
    for (std::size_t i = 0; i < datasets.size(); ++i) {
      reading.read(datasets[i], [&](double share) { progress.update(i, share, report.read.rows); });
    }
  } catch (...) {
    reading.finish();  // an error of an earlier row comes first, whatever the number of workers
    throw;
  }
  reading.finish();
  return report;
}

void check_report(const TokenizationReport& report, const ExampleBuilder& builder, const std::string& name) {
  if (report.read.rows == 0) {
    throw InputError(
        fmt::format("{} data: expected at least one row, found none: the split by the rows' hash left none; change "
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
                                                             const TokenizeOptions& options) {
  struct MemorySink final : ExampleSink {
    std::vector<Example> examples;
    bool wants(std::uint64_t) override { return true; }
    void add(std::uint64_t, TokenizedRow row) override {
      if (row.dropped == nullptr) examples.push_back(std::move(row.result.example));
    }
  } sink;
  check_report(tokenize_datasets(datasets, builder, sink, options), builder, options.name);
  return std::make_unique<InMemoryTokenizedDataset>(std::move(sink.examples), builder.has_encoder(),
                                                    builder.tokenizer().digest());
}

}  // namespace lockstep
