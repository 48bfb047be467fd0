#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lockstep/comm/communicator.h"
#include "lockstep/core/stop_flag.h"

namespace lockstep::comm {

struct StopOptions {
  std::filesystem::path file = {};  // asks for a stop once it exists; empty: none. Only rank 0 checks.
  std::optional<std::chrono::system_clock::time_point> end = {};  // of the job's time; rank 0's value counts
};

/// Requests to end a run. What one rank knows becomes known to all ranks at the same point of their work. Not
/// thread-safe.
class StopRequests {
 public:
  /// Counts the stop signals, the file and the time limit.
  static constexpr std::size_t kReasons = core::kStopSignals.size() + 2;

  /// All ranks must pass the same file.
  explicit StopRequests(std::shared_ptr<Communicator> communicator, StopOptions options = {});

  /// Returns what this rank knows, as numbers for the ranks to sum in fp64, together with other numbers of theirs.
  /// Checks for the file at most once a second.
  std::array<double, kReasons> local_state();
  /// Applies the sums over ranks of local_state(). Once there is a reason to stop, later sums are ignored.
  void apply_sums(std::span<const double> sums);

  /// Sums local_state() over the ranks and applies the result. Returns true if there is a reason to stop.
  bool agree();
  /// begin_synchronize() and finish_synchronize() are the two halves of agree(): the message is in flight between them.
  void begin_synchronize();
  bool finish_synchronize();

  /// Returns true if apply_sums() or an agreement has found a reason to stop.
  bool agreed() const { return !reasons_.empty(); }
  /// Returns the reasons, the same on all ranks: "SIGTERM on 2 of 4 ranks", "the file result/STOP", "the job's time
  /// ends at 12:31:05".
  std::string reason() const;

  /// Sets how long it takes to end the run, 0 by default. The run stops that long, plus 20 s, before the job's time
  /// ends.
  void set_time_to_save(std::chrono::duration<double> time) { time_to_save_ = time; }

  /// Ends the run on all ranks by throwing Stopped with "stopped: REASON; CONSEQUENCE". If the file was a reason, rank
  /// 0 first renames it to STOPPED in its folder: the same command then resumes, and scripts can tell that the stop was
  /// requested.
  [[noreturn]] void stop(const std::string& consequence);
  /// Calls agree() and, if there is a reason, stop().
  void check(const std::string& consequence);

  /// Removes the STOPPED file of an earlier run; only rank 0 acts.
  void clear_old();

 private:
  bool file_is_there();
  bool time_is_over() const;
  std::filesystem::path stopped_file() const;

  std::shared_ptr<Communicator> communicator_;
  StopOptions options_;
  std::chrono::duration<double> time_to_save_{0};
  std::chrono::steady_clock::time_point next_look_;
  bool has_seen_file_ = false;
  at::Tensor sums_;  // [kReasons], of the agreement in flight
  std::shared_ptr<PendingCollective> pending_;
  std::vector<std::string> reasons_;
  bool is_for_file_ = false;
};

/// Returns when this job's time ends: the earlier of SLURM_JOB_END_TIME (seconds since 1970), which Slurm sets, and
/// `max_run_minutes` after the start of the process if that is not 0. Returns nothing if neither is given. Ignores a
/// variable that is not a time in the future, with a warning.
std::optional<std::chrono::system_clock::time_point> end_of_job(std::int64_t max_run_minutes);

}  // namespace lockstep::comm

namespace lockstep {
using comm::StopRequests;
}  // namespace lockstep
