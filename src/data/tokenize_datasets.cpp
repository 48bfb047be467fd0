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

constexpr std::size_t kChunkRows = 256;
constexpr const char* kEmptyRow = "neither input nor output";
constexpr const char* kEmptyInput = "empty input (a decoder-only model has no token to predict the answer from)";

struct Chunk {
  std::vector<Row> rows;
  std::vector<std::string> positions;
};

struct TokenizedRow {
  ExampleBuilder::Result result;
  const char* dropped = nullptr;  // the reason
};

class RowTokenizer {
 public:
  RowTokenizer(const ExampleBuilder& builder, std::uint64_t vocabulary_size)
      : builder_(builder), vocabulary_size_(vocabulary_size) {}

  std::vector<TokenizedRow> operator()(const Chunk& chunk) const {
    std::vector<TokenizedRow> tokenized;
    tokenized.reserve(chunk.rows.size());
    for (std::size_t i = 0; i < chunk.rows.size(); ++i)
      tokenized.push_back(tokenize(chunk.rows[i], chunk.positions[i]));
    return tokenized;
  }

 private:
  TokenizedRow tokenize(const Row& row, const std::string& position) const {
    if (row.model_input.empty() && row.model_output.empty()) return {{}, kEmptyRow};
    TokenizedRow tokenized;
    try {
      tokenized.result = builder_.build(row);
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}: {}", position, error.what()));
    }
    const std::vector<TokenId>& input = tokenized.result.example.input;
    check_token_ids(tokenized.result.example, vocabulary_size_, builder_.tokenizer(), position);
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
    spdlog::warn("{} data: {} of {} rows were dropped: {}", name, report.dropped_rows(), report.rows,
                 fmt::join(reasons, "; "));
  }
}

// Reads one dataset to its end, pushing chunks of rows. Returns the number of rows.
template <typename Pipeline>
std::uint64_t push_rows(const Dataset& dataset, const ExampleBuilder& builder, Pipeline& pipeline,
                        const std::function<void(double, std::uint64_t)>& progress) {
  const auto reader = open_for_model(dataset, builder.tokenizer(), builder.has_encoder());
  std::uint64_t rows = 0;
  Chunk chunk;
  const auto push = [&] {
    pipeline.push(std::exchange(chunk, {}));
    progress(reader->progress(), rows);
  };
  while (auto row = reader->next()) {
    ++rows;
    chunk.rows.push_back(std::move(*row));
    chunk.positions.push_back(reader->position());
    if (chunk.rows.size() == kChunkRows) push();
  }
  if (!chunk.rows.empty()) push();
  if (rows == 0) {
    throw InputError(
        fmt::format("{}: expected at least one row, found none; fill the dataset or leave it out", dataset.name()));
  }
  return rows;
}

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
  const auto consume = [&](std::vector<TokenizedRow> chunk) {
    for (auto& row : chunk) {
      if (row.dropped != nullptr) {
        ++report.dropped[row.dropped];
        continue;
      }
      report.add(row.result);
      sink.add(std::move(row.result));
    }
  };
  OrderedPipeline<Chunk, std::vector<TokenizedRow>> pipeline(worker_count(options.num_workers),
                                                             RowTokenizer(builder, options.vocabulary_size), consume);
  ReadingProgress progress(datasets, options);
  for (std::size_t i = 0; i < datasets.size(); ++i) {
    try {
      report.dataset_rows.push_back(push_rows(datasets[i], builder, pipeline, [&](double share, std::uint64_t rows) {
        progress.update(i, share, report.rows + rows);
      }));
    } catch (...) {
      pipeline.finish();  // an error of an earlier row comes first, whatever the number of workers
      throw;
    }
    report.rows += report.dataset_rows.back();
  }
  pipeline.finish();
  if (report.examples == 0) {
    throw InputError(
        fmt::format("{} data: expected at least one example, found none: all {} rows were dropped; fill "
                    "model_input and model_output",
                    options.name, report.rows));
  }
  warn(report, builder, options.name);
  return report;
}

std::unique_ptr<InMemoryTokenizedDataset> tokenize_in_memory(const std::vector<Dataset>& datasets,
                                                             const ExampleBuilder& builder,
                                                             const TokenizeOptions& options) {
  struct MemorySink final : ExampleSink {
    std::vector<Example> examples;
    void add(ExampleBuilder::Result result) override { examples.push_back(std::move(result.example)); }
  } sink;
  tokenize_datasets(datasets, builder, sink, options);
  return std::make_unique<InMemoryTokenizedDataset>(std::move(sink.examples), builder.has_encoder(),
                                                    builder.tokenizer().digest());
}

}  // namespace lockstep
