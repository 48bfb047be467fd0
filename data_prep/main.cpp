#include <fmt/format.h>
#include <hdf5.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "data_prep/commands.h"
#include "data_prep/examples.h"
#include "data_prep/prepare.h"
#include "data_prep/summary.h"
#include "lockstep/core/log.h"
#include "lockstep/data/shards/shard_reader.h"
#include "lockstep/job/job_file.h"

namespace {

constexpr std::uint64_t kShownExamples = 2;
constexpr const char* kDescription =
    "Reads the datasets of a job (rows of model_input and model_output), tokenizes them for the job's model,\n"
    "truncates them to model_max_length, and writes them as HDF5 shards into prepared_dir/train and\n"
    "prepared_dir/validation, for `lockstep train` with the same job. A set that is already prepared from the same\n"
    "rows is left as it is; a run that was killed continues when the same command is run again. Under mpirun, srun\n"
    "or a Slurm array, the processes share the work; the shards have the same bytes for any number of processes and\n"
    "threads. The first argument is the name of a subcommand, or else a job file (write ./verify for a job file of\n"
    "that name).";

std::string version() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("lockstep-prep {} (HDF5 {}.{}.{})", LOCKSTEP_VERSION, major, minor, release);
}

std::string job_key_help() {
  return fmt::format(
      "Keys of a job, in JOB.yaml or as key=value on the command line. lockstep-prep uses pretrained_model_name,\n"
      "has_encoder, model_max_length, training_datasets, validation_datasets, input_column, output_column,\n"
      "prompt_template, response_template, input_contains_output, csv_delimiter, csv_quote, prepared_dir,\n"
      "deduplicate, validation_split, shard_text_bytes, num_workers and overwrite_output_dir. The others belong to\n"
      "`lockstep train`, and are checked here, too:\n\n"
      "{}\n\n"
      "Exit code: 0, or 1 with one message on stderr.",
      lockstep::job::describe_job_keys());
}

void run(const std::string& job_path, const std::vector<std::string>& overrides) {
  const lockstep::data::WorkShare share = lockstep::data::find_work_share();
  lockstep::initialise_logging(static_cast<int>(share.rank));
  if (share.size > 1) {
    spdlog::info("{} processes share the work, according to the environment of mpirun, srun or a Slurm array",
                 share.size);
  }
  const lockstep::data_prep::PreparedJob prepared = lockstep::data_prep::prepare(
      lockstep::job::load_job_file(job_path, overrides), share, lockstep::hub::hub_settings_from_environment);
  if (!prepared.complete) {
    fmt::print(
        "rank {} of {}: its shards are written; {}\n", share.rank, share.size,
        prepared.missing_shards == 0
            ? "another rank, which finished at the same time, completes the sets"
            : fmt::format("{} shards of other ranks are still missing; the last rank to finish completes the sets",
                          prepared.missing_shards));
    return;
  }
  for (const auto& set : prepared.sets) {
    if (set.reused) fmt::print("{} data: already prepared in {}\n", set.name, set.folder.string());
    fmt::print("{} data: {}", set.name, lockstep::data_prep::format_summary(set.folder, set.manifest));
  }
  const auto training =
      lockstep::data::PreparedDataset::open(prepared.sets.front().folder, lockstep::data::VerifyShards::kNo);
  fmt::print("\n");
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(kShownExamples, training->size()); ++i) {
    fmt::print("{}", lockstep::data_prep::format_example(*training, i, *prepared.tokenizer));
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(kDescription, "lockstep-prep");
  std::string job_path;
  std::vector<std::string> overrides;
  app.add_option("JOB.yaml", job_path, "job file");
  app.add_option("key=value", overrides, "values that replace those of the job file, e.g. model_max_length=256");
  app.set_version_flag("--version", version());
  app.footer(job_key_help);
  app.require_subcommand(0, 1);
  lockstep::data_prep::add_verify_command(app);
  lockstep::data_prep::add_inspect_command(app);
  lockstep::data_prep::add_tokenize_command(app);
  lockstep::data_prep::add_download_command(app);
  app.parse_complete_callback([&] {
    const bool has_command = !app.get_subcommands().empty();
    if (has_command == !job_path.empty()) {
      throw CLI::ValidationError(has_command ? "expected a job file or a subcommand, found both"
                                             : "expected a job file or a subcommand, found neither");
    }
  });
  try {
    lockstep::initialise_logging(0);
    app.parse(argc, argv);
    if (!job_path.empty()) run(job_path, overrides);
    return 0;
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "lockstep-prep: error: {}; see lockstep-prep --help\n", error.what());
    return 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "lockstep-prep: error: {}\n", error.what());
    return 1;
  }
}
