#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "comm/mpi/mpi_operation.h"
#include "lockstep/comm/communicator.h"

namespace lockstep::comm {

/// Moves collectives on while the process computes: in a thread of its own, or in the one that waits for them. Every
/// call of MPI happens under one mutex, so that MPI_THREAD_SERIALIZED is enough. Nobody spins for long, so that ranks
/// may share cores.
class MpiProgress {
 public:
  /// `on_late` is called, once, with what is late if a collective is not done in time; it ends the process.
  explicit MpiProgress(std::function<void(const std::string&)> on_late);
  /// Collectives under way are forgotten.
  ~MpiProgress();
  MpiProgress(const MpiProgress&) = delete;
  MpiProgress& operator=(const MpiProgress&) = delete;

  /// Begins what `make` makes; `name` says what it is. Its wait() throws what MPI said if it failed.
  std::shared_ptr<PendingCollective> begin(std::string name,
                                           const std::function<std::unique_ptr<MpiOperation>()>& make);
  /// 0: collectives may take any time.
  void set_timeout(std::chrono::seconds timeout);
  void set_activity(std::string activity);
  std::string activity();

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry;
  class Handle;

  void wait(Entry& entry);
  void work();
  /// Moves everything on; false if nothing moved. `mutex_` is held.
  bool advance();
  void check_deadline(const Entry& entry);

  std::function<void(const std::string&)> on_late_;
  std::mutex mutex_;
  std::condition_variable work_arrived_;
  std::deque<std::shared_ptr<Entry>> under_way_;
  std::chrono::seconds timeout_{0};
  std::string activity_;
  int waiting_ = 0;  // threads that move everything on because they wait
  bool stopping_ = false;
  std::jthread thread_;  // last: joined before the rest goes
};

}  // namespace lockstep::comm
