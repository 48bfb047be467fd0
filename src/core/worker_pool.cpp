#include "lockstep/core/worker_pool.h"

#include <algorithm>
#include <utility>

namespace lockstep::core {

WorkerPool::WorkerPool(std::size_t num_threads) {
  if (num_threads == 0) num_threads = std::max(1U, std::thread::hardware_concurrency());
  for (std::size_t i = 1; i < num_threads; ++i) workers_.emplace_back([this] { work(); });
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting_.clear();
  }
  work_arrived_.notify_all();
}

void WorkerPool::submit(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(task));
  }
  work_arrived_.notify_one();
}

bool WorkerPool::run_one_task() {
  std::function<void()> task;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) return false;
    task = take_first();
  }
  task();
  return true;
}

void WorkerPool::work() {
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      work_arrived_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      task = take_first();
    }
    task();
  }
}

std::function<void()> WorkerPool::take_first() {
  std::function<void()> task = std::move(waiting_.front());
  waiting_.pop_front();
  return task;
}

}  // namespace lockstep::core
