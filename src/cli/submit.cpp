#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/output_path.h"
#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/job/job_file.h"
#include "train_sbatch.h"

namespace lockstep::cli {
namespace {

namespace fs = std::filesystem;

struct SubmitArguments {
  std::string job;
  std::vector<std::string> overrides;  // one may be @FILE, a sweep
  int nodes = 1;
  int gpus_per_node = 0;
  std::optional<int> ntasks_per_node;  // default: one task per GPU, or one
  std::optional<int> cpus_per_task;
  std::string time;
  std::string partition;
  std::string account;
  std::string array;
  std::string job_name;
  std::string output;
  bool submit = false;
};

constexpr std::string_view kPlaceOfArguments = "# Here lockstep submit writes the job.";
constexpr std::string_view kMadeHere = "# Made by lockstep submit";
constexpr std::int64_t kMostSecondsToSave = 120;
constexpr std::int64_t kLeastSecondsToSave = 30;

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// Parses numbers separated by colons. Returns nullopt if a part is not a number.
std::optional<std::vector<std::int64_t>> numbers_of(std::string_view text) {
  std::vector<std::int64_t> numbers;
  for (const std::string& part : split(text, ':')) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (error != std::errc() || end != part.data() + part.size()) return std::nullopt;
    numbers.push_back(number);
  }
  return numbers;
}

// Parses a time as sbatch does: MINUTES, MINUTES:SECONDS, HOURS:MINUTES:SECONDS, DAYS-HOURS and
// DAYS-HOURS:MINUTES[:SECONDS]. Returns nullopt if it is invalid or zero.
std::optional<std::int64_t> seconds_of(const std::string& time) {
  const auto dash = time.find('-');
  const auto days = dash == std::string::npos ? std::vector<std::int64_t>{0} : numbers_of(time.substr(0, dash));
  auto parts = numbers_of(dash == std::string::npos ? time : time.substr(dash + 1));
  if (!days || days->size() != 1 || !parts || parts->size() > 3) return std::nullopt;
  if (dash == std::string::npos && parts->size() < 3) parts->insert(parts->begin(), 0);
  parts->resize(3);
  const std::int64_t seconds = ((days->front() * 24 + parts->at(0)) * 60 + parts->at(1)) * 60 + parts->at(2);
  return seconds > 0 ? std::optional(seconds) : std::nullopt;
}

// Quotes a word for the shell if necessary.
std::string quoted(const std::string& word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:@%,";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  return fmt::format("'{}'", fmt::join(split(word, '\''), R"('\'')"));
}

// Splits a line into words as xargs does in slurm/train.sbatch.
std::vector<std::string> words_of(const std::string& line, const std::string& where) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    char c = line[i];
    if (quote != 0 && c == quote) {
      quote = 0;
      continue;
    }
    if (quote == 0 && (c == ' ' || c == '\t')) {
      in_word = false;
      continue;
    }
    if (!std::exchange(in_word, true)) words.emplace_back();
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
      continue;
    }
    if (quote == 0 && c == '\\' && i + 1 < line.size()) c = line[++i];
    words.back() += c;
  }
  if (quote != 0) throw InputError(fmt::format("{}: expected a closing {}, found none", where, quote));
  return words;
}

// Checks every line of a sweep: it must give a valid job with an output_dir of its own. Returns the number of lines.
std::size_t check_sweep(const SubmitArguments& arguments, const std::vector<std::string>& overrides,
                        const fs::path& sweep) {
  std::vector<std::string> folders;
  std::istringstream lines(core::read_file(sweep));
  std::string line;
  while (std::getline(lines, line)) {
    const std::string where = fmt::format("{}: line {}", sweep.string(), folders.size() + 1);
    std::vector<std::string> all = overrides;
    const std::vector<std::string> words = words_of(line, where);
    all.insert(all.end(), words.begin(), words.end());
    const bool names_folder =
        std::ranges::any_of(words, [](const std::string& word) { return word.starts_with("output_dir="); });
    if (!names_folder) throw InputError(where + ": expected output_dir=..., found none: each task needs its own");
    try {
      folders.push_back(job::load_job_file(arguments.job, all).hyperparameters.output_dir);
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}: {}", where, error.what()));
    }
    if (const auto same = std::ranges::find(folders, folders.back()); same != folders.end() - 1) {
      throw InputError(fmt::format("{}: expected an output_dir of its own, found {}, which line {} also has", where,
                                   *same, same - folders.begin() + 1));
    }
  }
  if (folders.empty()) throw InputError(sweep.string() + ": expected one line of overrides per task, found none");
  return folders.size();
}

// Checks the job and its sweep before the script is written. Returns the array to submit: the given one, else all lines
// of the sweep; empty if there is no sweep.
std::string check_job(const SubmitArguments& arguments) {
  std::vector<std::string> overrides;
  std::optional<fs::path> sweep;
  for (const std::string& word : arguments.overrides) {
    if (word.starts_with('@')) {
      sweep = word.substr(1);
    } else {
      overrides.push_back(word);
    }
  }
  job::load_job_file(arguments.job, overrides);
  if (!sweep && !arguments.array.empty()) {
    throw InputError("--array: expected an argument @FILE with the overrides of each task, found none");
  }
  if (!sweep) return "";
  const std::size_t tasks = check_sweep(arguments, overrides, *sweep);
  return arguments.array.empty() ? fmt::format("1-{}", tasks) : arguments.array;
}

using Options = std::vector<std::pair<std::string, std::string>>;

Options options_of(const SubmitArguments& arguments) {
  std::int64_t seconds_to_save = kMostSecondsToSave;
  if (arguments.time != "UNLIMITED") {
    const auto seconds = seconds_of(arguments.time);
    if (!seconds) {
      throw InputError(
          fmt::format("--time: expected MINUTES, HOURS:MINUTES:SECONDS, DAYS-HOURS[:MINUTES[:SECONDS]] or UNLIMITED, "
                      "above zero, found '{}'",
                      arguments.time));
    }
    seconds_to_save = std::clamp(*seconds / 4, kLeastSecondsToSave, kMostSecondsToSave);
  }
  const int tasks = arguments.ntasks_per_node.value_or(std::max(arguments.gpus_per_node, 1));
  Options options = {{"nodes", std::to_string(arguments.nodes)},
                     {"ntasks-per-node", std::to_string(tasks)},
                     {"time", arguments.time},
                     {"signal", fmt::format("B:USR1@{}", seconds_to_save)}};
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) options.emplace_back(name, value);
  };
  if (arguments.gpus_per_node > 0) add("gpus-per-node", std::to_string(arguments.gpus_per_node));
  if (arguments.cpus_per_task) add("cpus-per-task", std::to_string(*arguments.cpus_per_task));
  add("partition", arguments.partition);
  add("account", arguments.account);
  add("job-name", arguments.job_name);
  add("array", check_job(arguments));
  return options;
}

// Returns slurm/train.sbatch with these options and the job filled in.
std::string compose(const SubmitArguments& arguments, Options options) {
  for (const auto& [name, value] : options) {
    if (value.find_first_of(" \t\n") != std::string::npos) {
      throw InputError(fmt::format("--{}: expected no blanks, found '{}'", name, value));
    }
  }
  std::vector<std::string> written;
  for (std::string line : split(kTrainScript, '\n')) {
    const auto option = std::ranges::find_if(options, [&](const auto& each) {
      return line.starts_with(fmt::format("#SBATCH --{}=", each.first)) ||
             line.starts_with(fmt::format("##SBATCH --{}=", each.first));
    });
    if (option != options.end()) {
      line = fmt::format("#SBATCH --{}={}", option->first, option->second);
      options.erase(option);
    }
    if (line.starts_with("#SBATCH --output=")) {  // the last #SBATCH line
      for (const auto& [name, value] : options) written.push_back(fmt::format("#SBATCH --{}={}", name, value));
    }
    if (line == kPlaceOfArguments) {
      std::vector<std::string> words = {quoted(arguments.job)};
      for (const std::string& word : arguments.overrides) words.push_back(quoted(word));
      const std::string programs = fs::read_symlink("/proc/self/exe").parent_path().string();
      written.push_back(fmt::format("{}, of {}", kMadeHere, arguments.job));
      written.push_back(fmt::format("set -- {} \"$@\"", fmt::join(words, " ")));
      line = fmt::format("export LOCKSTEP_BIN=${{LOCKSTEP_BIN:-{}}}", quoted(programs));
    }
    written.push_back(std::move(line));
  }
  return fmt::format("{}", fmt::join(written, "\n"));
}

void write_script(const fs::path& path, const std::string& script) {
  if (fs::exists(path) && core::read_file(path).find(kMadeHere) == std::string::npos) {
    throw InputError(
        fmt::format("{}: expected a script that lockstep submit wrote, or none, found another file; give "
                    "another --output",
                    path.string()));
  }
  core::write_file(path, script);
  fs::permissions(path, fs::perms::owner_exec, fs::perm_options::add);
}

// Submits a script. Returns the job's id.
std::string call_sbatch(const fs::path& script) {
  const std::string command = fmt::format("sbatch --parsable {} 2>&1", quoted(script.string()));
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) core::throw_system_error("run", command, errno);
  std::string said;
  std::array<char, 1024> part = {};
  while (std::fgets(part.data(), part.size(), pipe) != nullptr) said += part.data();
  const int status = pclose(pipe);
  while (said.ends_with('\n')) said.pop_back();
  constexpr int kNotFound = 127;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotFound) {
    throw InputError(
        fmt::format("sbatch: not found; on a login node of a cluster with Slurm, call sbatch {}", script.string()));
  }
  if (status != 0) throw InputError(fmt::format("{}: sbatch refused it: {}", script.string(), said));
  return split(split(said, '\n').back(), ';').front();
}

void submit(const SubmitArguments& arguments) {
  const std::string script = compose(arguments, options_of(arguments));
  const fs::path path =
      arguments.output.empty() ? fs::path(arguments.job).stem().string() + ".sbatch" : arguments.output;
  write_script(path, script);
  fmt::print("{}", script);
  std::fflush(stdout);
  if (!arguments.submit) {
    fmt::print(stderr, "wrote {}; submit it with: sbatch {}\n", path.string(), quoted(path.string()));
    return;
  }
  fmt::print(stderr, "submitted {} as job {}\n", path.string(), call_sbatch(path));
}

}  // namespace

void add_submit_command(CLI::App& app) {
  auto arguments = std::make_shared<SubmitArguments>();
  CLI::App* command = app.add_subcommand(
      "submit", "Writes the batch script that trains a job under Slurm, prints it, and submits it with --submit.");
  command->add_option("JOB.yaml", arguments->job, "job file, which is checked")->required();
  command->add_option(
      "key=value", arguments->overrides,
      "values that replace those of the job file; @FILE: an array, whose task N uses the values in line N of FILE");
  command->add_option("--nodes", arguments->nodes, "number of nodes")
      ->capture_default_str()
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--gpus-per-node", arguments->gpus_per_node, "GPUs of a node")
      ->capture_default_str()
      ->type_name("G")
      ->check(CLI::Range(0, 1 << 10));
  command->add_option("--time", arguments->time, "time after which the job saves and is requeued, e.g. 12:00:00 or 1-0")
      ->required()
      ->type_name("T");
  command
      ->add_option("--ntasks-per-node", arguments->ntasks_per_node,
                   "ranks of a node; the default is one per GPU, or one")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 10));
  command
      ->add_option("--cpus-per-task", arguments->cpus_per_task,
                   "cores of a rank; the default is that of slurm/train.sbatch")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 10));
  command->add_option("--partition", arguments->partition, "as for sbatch")->type_name("NAME");
  command->add_option("--account", arguments->account, "as for sbatch")->type_name("NAME");
  command->add_option("--array", arguments->array, "tasks of a sweep, e.g. 1-8%2; the default is all lines of @FILE")
      ->type_name("TASKS");
  command->add_option("--job-name", arguments->job_name, "as for sbatch")->type_name("NAME");
  expand_home_in(command->add_option("--output", arguments->output,
                                     "script to write; the default is JOB.sbatch in the working folder"))
      ->type_name("FILE");
  command->add_flag("--submit", arguments->submit, "also call sbatch");
  command->footer(
      "The script is slurm/train.sbatch with these options; its --help and docs/slurm.md explain what it does.");
  command->callback([arguments] { submit(*arguments); });
}

}  // namespace lockstep::cli
