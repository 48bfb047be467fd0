#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lockstep/data/shards/manifest.h"
#include "lockstep/data/work_share.h"
#include "lockstep/hub/settings.h"
#include "lockstep/job/job_file.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::data_prep {

/// A set of a job as it is in its folder after prepare().
struct PreparedSet {
  std::string name;  // "training" or "validation"
  std::filesystem::path folder;
  data::Manifest manifest;
  bool reused = false;  // already prepared by an earlier run
};

struct PreparedJob {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::vector<PreparedSet> sets;
  std::uint64_t missing_shards = 0;  // shards of other ranks that were missing when this rank had written its own
  bool complete = false;             // the sets are in place; if false, another rank puts them in place
};

/// Tokenizes the job's datasets into `prepared_dir`/train and `prepared_dir`/validation. A set that an earlier run has
/// prepared from the same rows, tokenizer and limits is left unchanged. Existing data is not touched until all new sets
/// are complete, and is only replaced with `overwrite_output_dir`. Shards that a killed run finished are kept.
///
/// Several processes with the same job divide the work by `share`. They interact only through `prepared_dir`, and none
/// waits for another: the last one to finish puts the sets in place.
///
/// A model that is not a local folder is fetched from the hub, with the weights that training will need unless it
/// starts from scratch.
PreparedJob prepare(const job::JobFile& job, const data::WorkShare& share, const hub::HubSettingsSource& hub);

}  // namespace lockstep::data_prep
