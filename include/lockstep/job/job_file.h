#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/job/hyperparameters.h"

namespace lockstep::job {

/// Describes one job, for both lockstep-prep and lockstep train. Paths are relative to the working directory.
struct JobFile {
  std::string pretrained_model_name;
  bool has_encoder = false;
  bool from_scratch = false;
  WeightsIo weights_io = WeightsIo::kEach;
  std::optional<std::int64_t> model_max_length;
  std::vector<std::string> training_datasets;
  std::vector<std::string> validation_datasets;
  std::string input_column = "model_input";
  std::string output_column = "model_output";
  std::string prompt_template = "{model_input}";
  std::string response_template = "{model_output}";
  InputContainsOutput input_contains_output = InputContainsOutput::kAuto;
  std::optional<std::string> csv_delimiter;
  std::optional<std::string> csv_quote = "\"";
  std::string prepared_dir = "prepared";
  std::int64_t num_workers = 0;
  bool deduplicate = false;
  double validation_split = 0;
  std::int64_t shard_text_bytes = 32 << 20;
  Hyperparameters hyperparameters;

  /// Binds every key, including those of the hyperparameters.
  void bind(KeyTable& table);

  /// Returns every key with its value, in the notation of a job file.
  std::vector<std::pair<std::string, std::string>> values() const;

  /// Returns a job file that describes the same job: the required keys and those whose values differ from the defaults.
  std::string to_text() const;
};

/// Reads a YAML job file, then applies the overrides, each "key=value". Throws InputError naming the file, the line,
/// the key, the nearest existing key, and what would be valid.
JobFile load_job_file(const std::filesystem::path& path, const std::vector<std::string>& overrides);

/// Returns one line per key of a job file, with its help and default.
std::string describe_job_keys();

}  // namespace lockstep::job
