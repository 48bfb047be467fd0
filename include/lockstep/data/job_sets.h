#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/data/dataset.h"
#include "lockstep/data/model_folder.h"
#include "lockstep/data/row_format.h"
#include "lockstep/data/row_plan.h"
#include "lockstep/data/shards/manifest.h"
#include "lockstep/job/job_file.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::data {

/// One of the sets in a job's prepared_dir.
struct JobSet {
  std::string name;                    // "training" or "validation"
  std::string folder;                  // below prepared_dir
  std::vector<std::string> locations;  // arguments of Dataset::find()
  RowSelection::Part part = RowSelection::Part::kAll;
};

/// Returns the training set, and a validation set if the job has validation_datasets or a validation_split. Throws
/// InputError if the job has no training_datasets, or has both validation_datasets and a validation_split.
std::vector<JobSet> sets_of(const job::JobFile& job);

/// Returns how the job maps the columns of its files to model_input and model_output.
RowFormat row_format_of(const job::JobFile& job);

/// Returns the datasets of a set, in the order of their rows. Throws InputError if one does not exist or its format is
/// not supported.
std::vector<Dataset> find_datasets(const job::JobFile& job, const JobSet& set);

/// Returns true if the datasets that the job names for a set are those of `sources`, in their order. A dataset that
/// does not exist, as on a machine that only has the prepared sets, is compared by its name, and a pattern by whether
/// it matches the names.
bool names_sources(const job::JobFile& job, const JobSet& set, const std::vector<SourceEntry>& sources);

/// Returns the manifest that a set must match to serve the job, without sources, report and shards. `max_length` is in
/// tokens, as resolved for the model.
Manifest describe_set(const job::JobFile& job, const JobSet& set, const ModelFolder& model, const Tokenizer& tokenizer,
                      std::optional<std::size_t> max_length);

}  // namespace lockstep::data
