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

/// Advances collectives while the process computes, in a thread of its own or in the thread that waits for them. All
/// MPI calls happen under one mutex, so that MPI_THREAD_SERIALIZED is enough. No thread spins for long, so that ranks
/// may share cores.
class MpiProgress {
 public:
  /// `on_late` is called once, with a description, if a collective exceeds the timeout; it ends the process.
  explicit MpiProgress(std::function<void(const std::string&)> on_late);
  /// Abandons the collectives in flight.
  ~MpiProgress();
  MpiProgress(const MpiProgress&) = delete;
  MpiProgress& operator=(const MpiProgress&) = delete;

  /// Begins the collective that `make` returns; `name` describes it in messages. The handle's wait() throws MPI's error
  /// if the collective failed.
  std::shared_ptr<PendingCollective> begin(std::string name,
                                           const std::function<std::unique_ptr<MpiOperation>()>& make);
  /// Sets the time limit of a collective; 0 means no limit.
  void set_timeout(std::chrono::seconds timeout);
  void set_activity(std::string activity);
  std::string activity();

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry;
  class Handle;

  void wait(Entry& entry);
  void work();
  /// Advances the collectives in flight. Returns false if nothing moved. The caller holds `mutex_`.
  bool advance();
  void check_deadline(const Entry& entry);

  std::function<void(const std::string&)> on_late_;
  std::mutex mutex_;
  std::condition_variable work_arrived_;
  std::deque<std::shared_ptr<Entry>> in_flight_;
  std::chrono::seconds timeout_{0};
  std::string activity_;
  int waiting_ = 0;  // threads in wait(), which advance the collectives meanwhile
  bool stopping_ = false;
  std::jthread thread_;  // last: joined before the other members are destroyed
};

}  // namespace lockstep::comm
