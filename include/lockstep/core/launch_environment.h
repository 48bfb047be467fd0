#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace lockstep::core {

/// What the environment variables of launchers say about this process: mpirun (Open MPI, MPICH, Intel MPI), srun, and
/// Slurm's jobs and arrays.
class LaunchEnvironment {
 public:
  /// Returns the value of an environment variable, or null.
  using Variable = std::function<const char*(const char*)>;

  /// Reads the environment of this process.
  LaunchEnvironment();
  explicit LaunchEnvironment(Variable variable) : variable_(std::move(variable)) {}

  enum class Launcher {
    kSlurmPmix,  // srun --mpi=pmix
    kOpenMpi,    // Open MPI's mpirun
    kPmi,        // MPICH's and Intel's mpirun, srun --mpi=pmi2
    kSrun        // srun, with or without MPI
  };
  /// The ranks that a launcher started, of which this process is one.
  struct Ranks {
    Launcher launcher;
    const char* rank_variable;
    const char* size_variable;
    std::optional<std::uint64_t> rank;  // none if rank_variable is not set
    std::uint64_t size;
  };
  /// Returns what the launcher says, or nothing if there was none. If several launchers set variables, the one that
  /// started this process itself counts. Throws InputError if a variable is not a number, or the rank is not below the
  /// size.
  std::optional<Ranks> ranks() const;

  /// Returns whether the launcher connects its processes for MPI.
  bool launched_by_mpi() const;

  /// A task of a Slurm array.
  struct ArrayTask {
    std::uint64_t index;
    std::uint64_t count;
  };
  /// Returns the task of a Slurm array that this process belongs to, or nothing if there is no array. Throws InputError
  /// if a variable is not a number, or the task numbers of the array are not evenly spaced.
  std::optional<ArrayTask> array_task() const;

  /// Returns the value of a variable, or an empty text if it is not set.
  std::string text(const char* name) const;

 private:
  std::optional<std::uint64_t> number(const char* name) const;

  Variable variable_;
};

}  // namespace lockstep::core
