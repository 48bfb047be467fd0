#include "prepare.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "lockstep/core/digest.h"
#include "lockstep/core/error.h"
#include "lockstep/data/dataset.h"
#include "lockstep/data/model_folder.h"
#include "lockstep/data/shard_reader.h"
#include "lockstep/data/shard_writer.h"
#include "lockstep/data/tokenize_datasets.h"
#include "lockstep/text/load_tokenizer.h"
#include "output_folder.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// One set of the job on its way into its folder.
struct Task {
  PreparedSet set;
  std::vector<Dataset> datasets;
  std::unique_ptr<OutputFolder> output;
};

RowFormat row_format(const JobFile& job) {
  return {.input_column = job.input_column,
          .output_column = job.output_column,
          .prompt_template = job.prompt_template,
          .response_template = job.response_template,
          .input_contains_output = parse_input_contains_output(job.input_contains_output)};
}

// `set` is "train" or "validation": the split of a DatasetDict that names none.
std::vector<Dataset> find_datasets(const JobFile& job, const std::string& set,
                                   const std::vector<std::string>& locations) {
  const DatasetOptions options{.format = row_format(job), .default_split = set};
  std::vector<Dataset> datasets;
  for (const auto& location : locations)
    std::ranges::move(Dataset::find(location, options), std::back_inserter(datasets));
  return datasets;
}

void require_overwrite(const fs::path& folder, bool overwrite, std::string_view found) {
  if (overwrite) return;
  throw InputError(
      fmt::format("{}: expected no other data, found {}; set overwrite_output_dir: true to replace it, or "
                  "give another prepared_dir",
                  folder.string(), found));
}

// True if `folder` already holds what `wanted` describes, whole and undamaged. Throws InputError if it holds anything
// else and may not be replaced.
bool already_prepared(const fs::path& folder, const Manifest& wanted, bool overwrite, Manifest& existing) {
  if (is_vacant(folder)) return false;
  std::error_code error;
  if (!fs::exists(folder / Manifest::kFileName, error)) {
    require_overwrite(folder, overwrite, "files that are not a prepared dataset");
    return false;
  }
  try {
    existing = PreparedDataset::open(folder, VerifyShards::yes)->manifest();
  } catch (const Error& problem) {
    require_overwrite(folder, overwrite, fmt::format("a dataset that cannot be used ({})", problem.what()));
    return false;
  }
  const std::string difference = wanted.difference(existing);
  if (difference.empty()) return true;
  require_overwrite(folder, overwrite, "a dataset prepared with " + difference);
  return false;
}

// Of its file, or of the digests of its files.
std::string digest(const Dataset& dataset) {
  if (dataset.files().size() == 1) return sha256_file(dataset.files().front());
  Sha256 all;
  for (const auto& file : dataset.files()) all.update(sha256_file(file));
  return all.hex_digest();
}

Manifest describe(const JobFile& job, const ModelFolder& model, const ExampleBuilder& builder,
                  const std::vector<Dataset>& datasets) {
  Manifest manifest;
  manifest.pretrained_model_name = job.pretrained_model_name;
  manifest.has_encoder = builder.has_encoder();
  manifest.model_max_length = builder.max_length();
  manifest.tokenizer_sha256 = builder.tokenizer().digest();
  manifest.vocabulary_size = model.vocabulary_size;
  manifest.row_format = row_format(job);
  for (const auto& dataset : datasets) manifest.sources.push_back({dataset.name(), digest(dataset), 0});
  return manifest;
}

std::optional<std::size_t> requested_length(const JobFile& job) {
  if (!job.model_max_length) return std::nullopt;
  return static_cast<std::size_t>(*job.model_max_length);
}

// The first half of the work: every check that can be made before a row is read.
Task plan_task(const JobFile& job, const ModelFolder& model, const ExampleBuilder& builder, const std::string& name,
               const std::string& folder, std::vector<Dataset> datasets) {
  Task task;
  task.datasets = std::move(datasets);
  task.set.name = name;
  task.set.folder = fs::path(job.prepared_dir) / folder;
  task.set.manifest = describe(job, model, builder, task.datasets);
  Manifest existing;
  if (already_prepared(task.set.folder, task.set.manifest, job.hyperparameters.overwrite_output_dir, existing)) {
    task.set.manifest = std::move(existing);
    task.set.reused = true;
  }
  return task;
}

void fill(Task& task, const ExampleBuilder& builder, std::int64_t num_workers) {
  task.output = std::make_unique<OutputFolder>(task.set.folder);
  ShardWriter writer(task.output->temporary_path(), task.set.manifest);
  TokenizeOptions options;
  options.name = task.set.name;
  options.vocabulary_size = task.set.manifest.vocabulary_size;
  options.num_workers = static_cast<std::size_t>(num_workers);
  options.show_progress = true;
  task.set.manifest = writer.finish(tokenize_datasets(task.datasets, builder, writer, options));
}

}  // namespace

PreparedJob prepare(const JobFile& job) {
  if (job.training_datasets.empty()) {
    throw InputError("training_datasets: expected at least one file, found none; list them in the job file");
  }
  const fs::path model_path = job.pretrained_model_name;
  const ModelFolder model = describe_model_folder(model_path);
  check_has_encoder(model, job.has_encoder, model_path);
  // Missing files are the likeliest mistake: found before the tokenizer is loaded and anything is hashed.
  auto training_datasets = find_datasets(job, "train", job.training_datasets);
  auto validation_datasets = find_datasets(job, "validation", job.validation_datasets);
  const std::shared_ptr<const Tokenizer> tokenizer = load_tokenizer(model_path);
  check_vocabulary(*tokenizer, model.vocabulary_size);
  const ExampleBuilder builder(tokenizer, job.has_encoder,
                               resolve_max_length(requested_length(job), *tokenizer, model.max_positions));

  const FolderLock lock(job.prepared_dir);
  std::vector<Task> tasks;
  tasks.push_back(plan_task(job, model, builder, "training", "train", std::move(training_datasets)));
  const fs::path validation = fs::path(job.prepared_dir) / "validation";
  if (!job.validation_datasets.empty()) {
    tasks.push_back(plan_task(job, model, builder, "validation", "validation", std::move(validation_datasets)));
  } else if (!is_vacant(validation)) {
    require_overwrite(validation, job.hyperparameters.overwrite_output_dir,
                      "a validation set although the job has no validation_datasets");
  }

  for (Task& task : tasks) {
    if (!task.set.reused) fill(task, builder, job.num_workers);
  }
  PreparedJob prepared{tokenizer, {}};
  for (Task& task : tasks) {
    if (task.output) task.output->commit();
    prepared.sets.push_back(std::move(task.set));
  }
  if (job.validation_datasets.empty() && !is_vacant(validation)) retire_folder(validation);
  return prepared;
}

}  // namespace lockstep
