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
  std::filesystem::path file = {};  // a request, once it is there; empty: none. Rank 0 looks for it.
  std::optional<std::chrono::system_clock::time_point> end = {};  // when the time of the job is over, as rank 0 has it
};

/// Why a job shall end: what any of its ranks knows, all come to know at the same point of their work. Not for several
/// threads at once.
class StopRequests {
 public:
  /// The stop signals, the file, the time.
  static constexpr std::size_t kReasons = core::kStopSignals.size() + 2;

  /// All ranks name the same file.
  explicit StopRequests(std::shared_ptr<Communicator> communicator, StopOptions options = {});

  /// What this rank knows, as numbers that ranks sum, in fp64, together with others of theirs. Looks for the file once
  /// a second at most.
  std::array<double, kReasons> own();
  /// Takes the sums over ranks of own(). The first reasons stay.
  void take(std::span<const double> sums);

  /// Both, with a sum of its own. True if there is a reason.
  bool agree();
  /// The same in two halves, for work between them: the message goes on meanwhile.
  void begin_agreeing();
  bool finish_agreeing();

  /// True if take() or an agreement has found a reason.
  bool agreed() const { return !reasons_.empty(); }
  /// "SIGTERM on 2 of 4 ranks", "the file result/STOP", "the job's time ends at 12:31:05"; on all ranks the same.
  std::string reason() const;

  /// How long it takes to end the run. It is begun so much before the end of the job's time, and 20 s more. [0]
  void set_time_to_save(std::chrono::duration<double> time) { time_to_save_ = time; }

  /// Ends the run on all ranks: throws Stopped, "stopped: REASON; CONSEQUENCE". If the file was a reason, rank 0 first
  /// renames it to STOPPED, in its folder: the same command goes on, and scripts see that this end was wished for.
  [[noreturn]] void stop(const std::string& consequence);
  /// Ends the run if ranks agree() to.
  void check(const std::string& consequence);

  /// Removes the STOPPED of an earlier run; on rank 0.
  void clear_old();

 private:
  bool file_is_there();
  bool time_is_over() const;
  std::filesystem::path honoured_file() const;

  std::shared_ptr<Communicator> communicator_;
  StopOptions options_;
  std::chrono::duration<double> time_to_save_{0};
  std::chrono::steady_clock::time_point next_look_;
  bool has_seen_file_ = false;
  at::Tensor sums_;  // [kReasons], of the agreement under way
  std::shared_ptr<PendingCollective> pending_;
  std::vector<std::string> reasons_;
  bool is_for_file_ = false;
};

/// When this job's time is over: what Slurm says, by SLURM_JOB_END_TIME (seconds since 1970), or `max_run_minutes`
/// after the start of the process if they are not 0, whichever is first; none: never. Warns of a variable that is no
/// time ahead, and does without.
std::optional<std::chrono::system_clock::time_point> end_of_job(std::int64_t max_run_minutes);

}  // namespace lockstep::comm

namespace lockstep {
using comm::StopRequests;
}  // namespace lockstep
