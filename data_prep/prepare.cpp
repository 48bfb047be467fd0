#include "data_prep/prepare.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <optional>
#include <utility>

#include "data_prep/output_folder.h"
#include "data_prep/source_digests.h"
#include "lockstep/core/digest.h"
#include "lockstep/core/error.h"
#include "lockstep/core/worker_pool.h"
#include "lockstep/data/contained_output.h"
#include "lockstep/data/dataset.h"
#include "lockstep/data/job_sets.h"
#include "lockstep/data/model_folder.h"
#include "lockstep/data/shards/shard_reader.h"
#include "lockstep/data/shards/shard_writer.h"
#include "lockstep/data/tokenize_datasets.h"
#include "lockstep/hub/resolve.h"
#include "lockstep/text/load_tokenizer.h"

namespace lockstep::data_prep {
namespace {

namespace fs = std::filesystem;

// A set that is being prepared.
struct Task {
  PreparedSet set;
  std::vector<Dataset> datasets;
  std::unique_ptr<OutputFolder> output;       // null if the set is reused
  std::unique_ptr<data::ShardWriter> writer;  // null if a killed run had already written all shards
  data::RowsRead read;
};

void require_overwrite(const fs::path& folder, bool overwrite, std::string_view found) {
  if (overwrite) return;
  throw InputError(
      fmt::format("{}: expected no other data, found {}; set overwrite_output_dir: true to replace it, or "
                  "give another prepared_dir",
                  folder.string(), found));
}

// Returns true if `folder` already holds an undamaged set that matches `wanted`. Throws InputError if it holds anything
// else that may not be replaced.
bool already_prepared(const fs::path& folder, const data::Manifest& wanted, bool overwrite, data::Manifest& existing) {
  if (is_missing_or_empty(folder)) return false;
  std::error_code error;
  if (!fs::exists(folder / data::Manifest::kFileName, error)) {
    require_overwrite(folder, overwrite, "files that are not a prepared dataset");
    return false;
  }
  try {
    existing = data::PreparedDataset::open(folder, data::VerifyShards::kYes)->manifest();
  } catch (const Error& problem) {
    require_overwrite(folder, overwrite, fmt::format("a dataset that cannot be used ({})", problem.what()));
    return false;
  }
  const std::string difference = wanted.difference(existing);
  if (difference.empty()) return true;
  require_overwrite(folder, overwrite, "a dataset prepared with " + difference);
  return false;
}

// A set of the job with its datasets, which are known to exist.
struct FoundSet {
  data::JobSet set;
  std::vector<Dataset> datasets;
};

// The rows of all sets must have the same form, so that input_contains_output: auto means the same for all of them.
void check_contained_outputs(const std::vector<FoundSet>& sets, const Tokenizer& tokenizer, bool has_encoder) {
  std::vector<Dataset> datasets;
  for (const FoundSet& found : sets) datasets.insert(datasets.end(), found.datasets.begin(), found.datasets.end());
  data::find_contained_outputs(datasets, tokenizer, has_encoder);
}

// Rows must not lie where the sets are written.
void check_sources_are_no_output(const std::vector<FoundSet>& sets, const fs::path& prepared_dir) {
  for (const FoundSet& found : sets) {
    for (const auto& dataset : found.datasets) {
      for (const auto& file : dataset.files()) {
        std::error_code error;
        const fs::path folder = fs::canonical(file, error).parent_path();
        const bool is_output = !error && (fs::equivalent(folder, prepared_dir / "train", error) ||
                                          fs::equivalent(folder, prepared_dir / "validation", error));
        if (!is_output) continue;
        throw InputError(fmt::format(
            "{}: expected a dataset outside of the folders that lockstep-prep writes, found it in {}; move it, or give "
            "another prepared_dir",
            dataset.name(), folder.string()));
      }
    }
  }
}

std::optional<std::size_t> requested_length(const job::JobFile& job) {
  if (!job.model_max_length) return std::nullopt;
  return static_cast<std::size_t>(*job.model_max_length);
}

// Returns a digest of everything that the bytes of the shards depend on.
std::string content_digest(const data::Manifest& description, const job::JobFile& job) {
  return core::sha256(fmt::format("{} {} {}", LOCKSTEP_VERSION, job.shard_text_bytes, description.to_json().dump()));
}

class Preparation {
 public:
  Preparation(const job::JobFile& job, const data::WorkShare& share, const data::ModelFolder& model,
              const ExampleBuilder& builder, core::WorkerPool& pool)
      : job_(job), share_(share), model_(model), builder_(builder), pool_(pool) {}

  // Makes every check that is possible before a row is read.
  void plan(const FoundSet& found, SourceDigests& digests) {
    Task task;
    task.datasets = found.datasets;
    task.set.name = found.set.name;
    task.set.folder = fs::path(job_.prepared_dir) / found.set.folder;
    task.set.manifest = describe(found, digests);
    task.set.reused = reuse(task.set);
    const std::string content = task.set.reused ? "" : content_digest(task.set.manifest, job_);
    if (share_.size == 1) remove_leftovers(task.set.folder, content);
    if (!task.set.reused) task.output = std::make_unique<OutputFolder>(task.set.folder, content);
    tasks_.push_back(std::move(task));
  }

  // Writes this process's shards. Returns the number of shards that other processes have yet to write.
  std::uint64_t write_shards() {
    for (Task& task : tasks_) {
      if (task.output) fill(task);
    }
    // Checked only after all sets are written, so that the last process to check finds none missing.
    std::uint64_t missing = 0;
    for (Task& task : tasks_) {
      if (task.writer) missing += task.writer->find_missing();
    }
    return missing;
  }

  // Puts all sets in place; all shards must be written. Returns false if another process does so.
  bool commit() {
    const auto first = std::ranges::find_if(tasks_, [](const Task& task) { return task.output != nullptr; });
    if (first != tasks_.end() && !first->output->claim()) return false;
    for (Task& task : tasks_) {
      if (!task.writer) continue;
      const data::TokenizationReport report = task.writer->report(task.read);
      data::check_report(report, builder_, task.set.name);
      task.set.manifest = task.writer->finish(report);
    }
    for (Task& task : tasks_) {
      if (task.output) task.output->commit();
    }
    return true;
  }

  // Returns true if all sets are in place, since another process may have put them there after plan().
  bool done_by_others() {
    for (Task& task : tasks_) {
      if (task.set.reused) continue;
      task.set.reused = reuse(task.set);
      if (!task.set.reused) return false;
      task.output->discard();
    }
    return true;
  }

  // Removes the shards written so far, unless other processes write there too.
  void discard() {
    for (Task& task : tasks_) {
      if (task.output && share_.size == 1) task.output->discard();
    }
  }

  std::vector<PreparedSet> sets() const {
    std::vector<PreparedSet> sets;
    for (const Task& task : tasks_) sets.push_back(task.set);
    return sets;
  }

 private:
  data::Manifest describe(const FoundSet& found, SourceDigests& digests) const {
    data::Manifest manifest = data::describe_set(job_, found.set, model_, builder_.tokenizer(), builder_.max_length());
    for (const auto& dataset : found.datasets) manifest.sources.push_back({dataset.name(), digests.of(dataset), 0});
    return manifest;
  }

  bool reuse(PreparedSet& set) const {
    data::Manifest existing;
    if (!already_prepared(set.folder, set.manifest, job_.hyperparameters.overwrite_output_dir, existing)) return false;
    set.manifest = std::move(existing);
    return true;
  }

  void fill(Task& task) {
    const fs::path& folder = task.output->temporary_path();
    if (auto finished = data::ShardWriter::finish_interrupted(folder, task.set.manifest)) {
      task.set.manifest = std::move(*finished);
      return;
    }
    if (fs::exists(folder / data::Manifest::kFileName)) task.output->clear();
    task.writer =
        std::make_unique<data::ShardWriter>(folder, task.set.manifest, pool_, data::ShardOptions{.share = share_});
    data::TokenizeOptions options;
    options.name = task.set.name;
    options.vocabulary_size = task.set.manifest.vocabulary_size;
    options.show_progress = share_.rank == 0;
    options.selection = task.set.manifest.selection;
    options.shard_text_bytes = static_cast<std::uint64_t>(job_.shard_text_bytes);
    task.read = data::tokenize_datasets(task.datasets, builder_, *task.writer, options, pool_).read;
    task.writer->flush();
    if (task.writer->shards_found() > 0) {
      spdlog::info("{} data: {} shards were already written by an earlier run, which was interrupted", task.set.name,
                   task.writer->shards_found());
    }
  }

  const job::JobFile& job_;
  const data::WorkShare share_;
  const data::ModelFolder& model_;
  const ExampleBuilder& builder_;
  core::WorkerPool& pool_;
  std::vector<Task> tasks_;
};

hub::ResolvedModel find_model(const job::JobFile& job, const data::WorkShare& share,
                              const hub::HubSettingsSource& hub) {
  hub::ResolveOptions options;
  options.files = job.from_scratch ? hub::ModelFiles::kWithoutWeights : hub::ModelFiles::kAll;
  options.before_weights = [&](const fs::path& folder) {
    data::check_has_encoder(data::describe_model_folder(folder), job.has_encoder, folder);
  };
  options.show_progress = share.rank == 0;
  return hub::resolve_model(job.pretrained_model_name, options, hub);
}

}  // namespace

PreparedJob prepare(const job::JobFile& job, const data::WorkShare& share, const hub::HubSettingsSource& hub) {
  const hub::ResolvedModel resolved = find_model(job, share, hub);
  const data::ModelFolder model = data::describe_model_folder(resolved.folder);
  data::check_has_encoder(model, job.has_encoder, resolved.folder);
  // Missing files are the most likely mistake, so they are checked before the tokenizer is loaded or anything is
  // hashed.
  std::vector<FoundSet> sets;
  for (const auto& set : data::sets_of(job)) sets.push_back({set, data::find_datasets(job, set)});
  check_sources_are_no_output(sets, job.prepared_dir);
  const std::shared_ptr<const Tokenizer> tokenizer = load_tokenizer(resolved.tokenizer, resolved.folder);
  data::warn_of_literal_escapes(data::row_format_of(job));
  check_contained_outputs(sets, *tokenizer, job.has_encoder);
  core::WorkerPool pool(static_cast<std::size_t>(job.num_workers));
  SourceDigests digests(pool);
  for (const auto& found : sets) digests.add(found.datasets);
  data::check_vocabulary(*tokenizer, model.vocabulary_size);
  const ExampleBuilder builder(tokenizer, job.has_encoder,
                               data::resolve_max_length(requested_length(job), *tokenizer, model.max_positions));

  const FolderLock lock(job.prepared_dir,
                        share.size == 1 ? FolderLock::Kind::kAlone : FolderLock::Kind::kWithOtherRanks);
  Preparation preparation(job, share, model, builder, pool);
  for (const auto& found : sets) preparation.plan(found, digests);
  const fs::path validation = fs::path(job.prepared_dir) / "validation";
  const bool has_validation = sets.size() > 1;
  if (!has_validation && !is_missing_or_empty(validation)) {
    require_overwrite(validation, job.hyperparameters.overwrite_output_dir,
                      "a validation set although the job has neither validation_datasets nor validation_split");
  }

  PreparedJob prepared{tokenizer, {}, 0, false};
  try {
    prepared.missing_shards = preparation.write_shards();
    prepared.complete = prepared.missing_shards == 0 ? preparation.commit() : preparation.done_by_others();
  } catch (const InputError&) {
    preparation.discard();  // corrected rows will give other shards
    throw;
  }
  prepared.sets = preparation.sets();
  if (prepared.complete && !has_validation && !is_missing_or_empty(validation)) remove_or_move_aside(validation);
  if (share.size == 1 && !has_validation) remove_leftovers(validation, "");
  return prepared;
}

}  // namespace lockstep::data_prep
