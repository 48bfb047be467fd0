#include "lockstep/data/work_share.h"

#include <fmt/format.h>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include "lockstep/core/error.h"

namespace lockstep::data {
namespace {

class Environment {
 public:
  explicit Environment(const std::function<const char*(const char*)>& variable) : variable_(variable) {}

  std::optional<std::uint64_t> number(const char* name) const {
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

 private:
  const std::function<const char*(const char*)>& variable_;
};

struct Names {
  const char* rank;
  const char* size;
};

// SLURM_NTASKS and SLURM_PROCID are also set in the shell of a batch script, which is a single process. Only srun sets
// SLURM_STEP_NUM_TASKS.
constexpr std::array kLaunchers{Names{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, Names{"PMI_RANK", "PMI_SIZE"},
                                Names{"PMIX_RANK", "SLURM_STEP_NUM_TASKS"},
                                Names{"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}};

WorkShare share_of_launcher(const Environment& environment) {
  for (const Names& names : kLaunchers) {
    const auto rank = environment.number(names.rank);
    const auto size = environment.number(names.size);
    if (!rank || !size) continue;
    if (*rank >= *size) {
      throw InputError(fmt::format("{}: expected a rank below {} ({}), found {}; unset both to run a single process",
                                   names.rank, *size, names.size, *rank));
    }
    return {*rank, *size};
  }
  return {};
}

WorkShare share_of_array(const Environment& environment) {
  const auto task = environment.number("SLURM_ARRAY_TASK_ID");
  const auto count = environment.number("SLURM_ARRAY_TASK_COUNT");
  if (!task || !count) return {};
  const std::uint64_t first = environment.number("SLURM_ARRAY_TASK_MIN").value_or(0);
  const std::uint64_t last = environment.number("SLURM_ARRAY_TASK_MAX").value_or(first + *count - 1);
  const std::uint64_t step = *count > 1 ? (last - first) / (*count - 1) : 1;
  if (*task < first || step == 0 || first + step * (*count - 1) != last || (*task - first) % step != 0) {
    throw InputError(
        fmt::format("expected a Slurm array whose task numbers are evenly spaced, found task {} of {} from {} to {}; "
                    "give e.g. --array=0-{}, or unset SLURM_ARRAY_TASK_ID to run a single task",
                    *task, *count, first, last, *count - 1));
  }
  return {(*task - first) / step, *count};
}

}  // namespace

WorkShare find_work_share(const std::function<const char*(const char*)>& variable) {
  const Environment environment(variable);
  const WorkShare array = share_of_array(environment);
  const WorkShare ranks = share_of_launcher(environment);
  return {array.rank * ranks.size + ranks.rank, array.size * ranks.size};
}

}  // namespace lockstep::data
