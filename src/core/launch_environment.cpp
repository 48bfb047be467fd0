#include "lockstep/core/launch_environment.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "lockstep/core/error.h"

namespace lockstep::core {

LaunchEnvironment::LaunchEnvironment() : LaunchEnvironment([](const char* name) { return std::getenv(name); }) {}

std::string LaunchEnvironment::text(const char* name) const {
  const char* value = variable_(name);
  return value == nullptr ? "" : value;
}

std::optional<std::uint64_t> LaunchEnvironment::number(const char* name) const {
  const char* value = variable_(name);
  if (value == nullptr) return std::nullopt;
  const std::string_view text = value;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw InputError(fmt::format(
        "{}: expected a number in the environment, found \"{}\"; unset it to run a single process", name, text));
  }
  return number;
}

std::optional<LaunchEnvironment::Ranks> LaunchEnvironment::ranks() const {
  // SLURM_NTASKS and SLURM_PROCID are also set in the shell of a batch script, which is a single process. Only srun
  // sets SLURM_STEP_NUM_TASKS. Its variables also exist in what mpirun starts from a step; they describe this process
  // if Slurm's own PMIx started it. Ranks of MPICH's and Intel's mpirun inherit the variables of that PMIx, too, but
  // have PMI_SIZE.
  constexpr const char* kTasksOfStep = "SLURM_STEP_NUM_TASKS";
  const std::string pmix_namespace = text("PMIX_NAMESPACE");
  const bool is_slurms = pmix_namespace.starts_with("slurm.");
  const bool has_task = variable_("PMIX_RANK") != nullptr && (is_slurms || pmix_namespace.empty());
  const char* task = has_task ? "PMIX_RANK" : "SLURM_PROCID";
  const bool has_slurm_pmix = is_slurms && variable_("PMI_SIZE") == nullptr;
  struct Variables {
    Launcher launcher;
    const char* rank;
    const char* size;
  };
  for (const auto& [launcher, rank_variable, size_variable] :
       {Variables{Launcher::kSlurmPmix, task, kTasksOfStep},
        Variables{Launcher::kOpenMpi, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
        Variables{Launcher::kPmi, "PMI_RANK", "PMI_SIZE"}, Variables{Launcher::kSrun, task, kTasksOfStep}}) {
    if (launcher == Launcher::kSlurmPmix && !has_slurm_pmix) continue;
    const auto rank = number(rank_variable);
    const auto size = number(size_variable);
    if (!size) continue;
    if (rank && *rank >= *size) {
      throw InputError(fmt::format("{}: expected a rank below {} ({}), found {}; unset both to run a single process",
                                   rank_variable, *size, size_variable, *rank));
    }
    return Ranks{launcher, rank_variable, size_variable, rank, *size};
  }
  return std::nullopt;
}

bool LaunchEnvironment::launched_by_mpi() const {
  // Open MPI's mpirun; MPICH's and Intel's mpirun; srun --mpi=pmix and --mpi=pmi2.
  constexpr std::array kVariables = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK"};
  return std::ranges::any_of(kVariables, [&](const char* name) { return variable_(name) != nullptr; });
}

std::optional<LaunchEnvironment::ArrayTask> LaunchEnvironment::array_task() const {
  const auto task = number("SLURM_ARRAY_TASK_ID");
  const auto count = number("SLURM_ARRAY_TASK_COUNT");
  if (!task || !count) return std::nullopt;
  const std::uint64_t first = number("SLURM_ARRAY_TASK_MIN").value_or(0);
  const std::uint64_t last = number("SLURM_ARRAY_TASK_MAX").value_or(first + *count - 1);
  const std::uint64_t step = *count > 1 ? (last - first) / (*count - 1) : 1;
  if (*task < first || step == 0 || first + step * (*count - 1) != last || (*task - first) % step != 0) {
    throw InputError(
        fmt::format("expected a Slurm array whose task numbers are evenly spaced, found task {} of {} from {} to {}; "
                    "give e.g. --array=0-{}, or unset SLURM_ARRAY_TASK_ID to run a single task",
                    *task, *count, first, last, *count - 1));
  }
  return ArrayTask{(*task - first) / step, *count};
}

}  // namespace lockstep::core
