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

/// One of the sets of a job, as it now lies in its folder.
struct PreparedSet {
  std::string name;  // "training" or "validation"
  std::filesystem::path folder;
  data::Manifest manifest;
  bool reused = false;  // an earlier run had already prepared it
};

struct PreparedJob {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::vector<PreparedSet> sets;
  std::uint64_t missing_shards = 0;  // that other ranks had still to write when this one had written its own
  bool complete = false;             // the sets are in place; else the last of the other ranks puts them there
};

/// Tokenizes the job's datasets into `prepared_dir`/train and `prepared_dir`/validation. A set that an earlier run has
/// prepared from the same rows, tokenizer and limits is left as it is. Nothing that exists is touched before all
/// new sets are complete, nor without `overwrite_output_dir`. What a killed run has finished of them is kept.
///
/// Several processes with the same job share the work by `share`; they meet in `prepared_dir` alone, and none waits for
/// another: the last one to finish puts the sets in place.
///
/// A model that is no local folder is taken from the hub, with its weights, which training will need.
PreparedJob prepare(const job::JobFile& job, const data::WorkShare& share, const hub::HubSettingsSource& hub);

}  // namespace lockstep::data_prep
