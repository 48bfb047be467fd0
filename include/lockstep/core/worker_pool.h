#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace lockstep::core {

/// Runs tasks on threads, first come, first served. The owner's thread takes tasks, too, while it would otherwise wait
/// (run_one_task()), so `num_threads` counts it; a pool of one starts no threads. Must be used from one thread.
class WorkerPool {
 public:
  /// Starts `num_threads` - 1 threads; 0 means one thread per core.
  explicit WorkerPool(std::size_t num_threads);
  /// Drops tasks that no thread has started, and waits for those that run.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  std::size_t num_threads() const { return workers_.size() + 1; }
  void submit(std::function<void()> task);
  /// Runs one waiting task on the caller's thread. Returns false if no task is waiting.
  bool run_one_task();

 private:
  void work();
  std::function<void()> take_first();

  std::mutex mutex_;
  std::condition_variable work_arrived_;
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::vector<std::jthread> workers_;  // last, so that it is joined before the other members are destroyed
};

}  // namespace lockstep::core
