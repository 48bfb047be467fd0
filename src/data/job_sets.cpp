#include "lockstep/data/job_sets.h"

#include <fmt/format.h>
#include <algorithm>
#include <iterator>

#include "data/file_patterns.h"
#include "lockstep/core/error.h"

namespace lockstep::data {

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
  // The split of a DatasetDict if the location names none. With validation_split, validation rows come from the
  // training rows.
  const std::string split = set.part == RowSelection::Part::kValidation ? "train" : set.folder;
  const DatasetOptions options{.format = row_format_of(job), .default_split = split};
  std::vector<Dataset> datasets;
  for (const auto& location : set.locations) {
    std::ranges::move(Dataset::find(location, options), std::back_inserter(datasets));
  }
  return datasets;
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
