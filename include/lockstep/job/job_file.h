#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/job/hyperparameters.h"

namespace lockstep::job {

/// One job, for lockstep-prep and lockstep train alike. Paths are relative to the working folder.
struct JobFile {
  std::string pretrained_model_name;
  bool has_encoder = false;
  bool from_scratch = false;
  std::string weights_io = "each";
  std::optional<std::int64_t> model_max_length;
  std::vector<std::string> training_datasets;
  std::vector<std::string> validation_datasets;
  std::string input_column = "model_input";
  std::string output_column = "model_output";
  std::string prompt_template = "{model_input}";
  std::string response_template = "{model_output}";
  std::string input_contains_output = "auto";
  std::string prepared_dir = "prepared";
  std::int64_t num_workers = 0;
  bool deduplicate = false;
  double validation_split = 0;
  std::int64_t shard_text_bytes = 32 << 20;
  Hyperparameters hyperparameters;

  /// Binds every key, the hyperparameters' too.
  void bind(KeyTable& table);

  /// Every key with its value, as a job file has it.
  std::vector<std::pair<std::string, std::string>> values() const;

  /// A job file of the same job: the keys that must be given, and those with other values than by default.
  std::string to_text() const;
};

/// Reads a YAML job file and then the overrides, each "key=value". Throws InputError naming file, line, key, the
/// nearest key that exists, and what would be valid.
JobFile load_job_file(const std::filesystem::path& path, const std::vector<std::string>& overrides);

/// The keys of a job file with defaults and help, a line each.
std::string describe_job_keys();

}  // namespace lockstep::job
