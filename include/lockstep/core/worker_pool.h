#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace lockstep::core {

/// Threads that run tasks, first come, first served. The thread that submits them works along where it would have to
/// wait, so that `num_threads` threads are busy in all; with one, no other is started. For use from one thread.
class WorkerPool {
 public:
  /// 0: a thread for each core.
  explicit WorkerPool(std::size_t num_threads);
  /// Tasks that no thread has begun are forgotten.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  std::size_t num_threads() const { return workers_.size() + 1; }
  void submit(std::function<void()> task);
  /// Runs a task in the caller's thread; false if all have been taken.
  bool work_along();

 private:
  void work();
  std::function<void()> take_first();

  std::mutex mutex_;
  std::condition_variable work_arrived_;
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::vector<std::jthread> workers_;  // last: joined before the rest goes
};

}  // namespace lockstep::core
