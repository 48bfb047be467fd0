#include "lockstep/data/job_sets.h"

#include <fmt/format.h>
#include <algorithm>
#include <iterator>

#include "data/file_patterns.h"
#include "lockstep/core/error.h"

namespace lockstep::data {
namespace {

// Returns the split of a DatasetDict that a location means if it names none. With validation_split, validation rows
// come from the training rows.
std::string default_split_of(const JobSet& set) {
  return set.part == RowSelection::Part::kValidation ? "train" : set.folder;
}

}  // namespace

std::vector<JobSet> sets_of(const job::JobFile& job) {
  if (job.training_datasets.empty()) {
    throw InputError("training_datasets: expected at least one file, found none; list them in the job file");
  }
  if (job.validation_split > 0) {
    if (!job.validation_datasets.empty()) {
      throw InputError(
          fmt::format("validation_split: expected 0 for a job with validation_datasets, found {}; keep one of the two",
                      job.validation_split));
    }
    return {{"training", "train", job.training_datasets, RowSelection::Part::kTraining},
            {"validation", "validation", job.training_datasets, RowSelection::Part::kValidation}};
  }
  std::vector<JobSet> sets{{"training", "train", job.training_datasets}};
  if (!job.validation_datasets.empty()) sets.push_back({"validation", "validation", job.validation_datasets});
  return sets;
}

RowFormat row_format_of(const job::JobFile& job) {
  return {.input_column = job.input_column,
          .output_column = job.output_column,
          .prompt_template = job.prompt_template,
          .response_template = job.response_template,
          .input_contains_output = job.input_contains_output,
          .csv_delimiter = job.csv_delimiter,
          .csv_quote = job.csv_quote};
}

std::vector<Dataset> find_datasets(const job::JobFile& job, const JobSet& set) {
  const DatasetOptions options{.format = row_format_of(job), .default_split = default_split_of(set)};
  std::vector<Dataset> datasets;
  for (const auto& location : set.locations) {
    std::ranges::move(Dataset::find(location, options), std::back_inserter(datasets));
  }
  return datasets;
}

bool names_sources(const job::JobFile& job, const JobSet& set, const std::vector<SourceEntry>& sources) {
  const DatasetOptions options{.format = row_format_of(job), .default_split = default_split_of(set)};
  auto source = sources.begin();
  const auto skip = [&](const auto& is_named) {
    if (source == sources.end() || !is_named(source->path)) return false;
    ++source;
    return true;
  };
  for (const auto& location : set.locations) {
    std::vector<Dataset> datasets;
    try {
      datasets = Dataset::find(location, options);
    } catch (const InputError&) {
      const auto matches = [&](const std::string& path) {
        return path == location || path == location + ":" + options.default_split ||
               (is_file_pattern(location) && matches_file_pattern(path, location));
      };
      if (!skip(matches)) return false;
      while (is_file_pattern(location) && skip(matches)) {
      }
      continue;
    }
    for (const auto& dataset : datasets) {
      if (!skip([&](const std::string& path) { return path == dataset.name(); })) return false;
    }
  }
  return source == sources.end();
}

Manifest describe_set(const job::JobFile& job, const JobSet& set, const ModelFolder& model, const Tokenizer& tokenizer,
                      std::optional<std::size_t> max_length) {
  Manifest manifest;
  manifest.pretrained_model_name = job.pretrained_model_name;
  manifest.has_encoder = model.has_encoder;
  manifest.model_max_length = max_length;
  manifest.tokenizer_sha256 = tokenizer.digest();
  manifest.vocabulary_size = model.vocabulary_size;
  manifest.row_format = row_format_of(job);
  manifest.selection = {job.deduplicate, set.part == RowSelection::Part::kAll ? 0 : job.validation_split, set.part};
  return manifest;
}

}  // namespace lockstep::data
