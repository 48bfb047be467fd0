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

/// One of the sets that a job's prepared_dir holds.
struct JobSet {
  std::string name;                    // "training" or "validation"
  std::string folder;                  // within prepared_dir
  std::vector<std::string> locations;  // as Dataset::find takes them
  RowSelection::Part part = RowSelection::Part::all;
};

/// The training set, and a validation set if the job has validation_datasets or a validation_split. Throws InputError
/// for a job without training_datasets, or with both of those.
std::vector<JobSet> sets_of(const job::JobFile& job);

/// How the job reads the columns of its files.
RowFormat row_format_of(const job::JobFile& job);

/// The datasets of a set, in the order of their rows. Throws InputError for one that is missing or of an unknown kind.
std::vector<Dataset> find_datasets(const job::JobFile& job, const JobSet& set);

/// What a set must have been made with to serve the job: a manifest without sources, report and shards. `max_length` is
/// in tokens, as resolved for the model.
Manifest describe_set(const job::JobFile& job, const JobSet& set, const ModelFolder& model, const Tokenizer& tokenizer,
                      std::optional<std::size_t> max_length);

}  // namespace lockstep::data
