#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace lockstep {

/// Threads that turn inputs into outputs, handed back in the order of the inputs. Used from one thread, which works
/// along where it would have to wait, so that `num_threads` threads are busy in all. At most a few inputs a thread are
/// under way, so that memory is bounded.
template <typename Input, typename Output>
class OrderedPipeline {
 public:
  /// `transform` runs in any of the threads, `consume` in the caller's, both within push() and finish(). With one
  /// thread (the caller's) no other is started.
  OrderedPipeline(std::size_t num_threads, std::function<Output(Input)> transform, std::function<void(Output)> consume)
      : transform_(std::move(transform)), consume_(std::move(consume)), max_in_flight_(4 * num_threads) {
    for (std::size_t i = 1; i < num_threads; ++i) workers_.emplace_back([this] { work(); });
  }
  ~OrderedPipeline() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      waiting_.clear();
    }
    work_arrived_.notify_all();
  }
  OrderedPipeline(const OrderedPipeline&) = delete;
  OrderedPipeline& operator=(const OrderedPipeline&) = delete;

  /// Rethrows what `transform` threw for an earlier input, and forgets the later ones.
  void push(Input input) {
    Task task([this, moved = std::move(input)]() mutable { return transform_(std::move(moved)); });
    in_flight_.push_back(task.get_future());
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(task));
    }
    work_arrived_.notify_one();
    if (in_flight_.size() >= max_in_flight_) consume_first();
  }

  /// Waits for all inputs to be consumed.
  void finish() {
    while (!in_flight_.empty()) consume_first();
  }

 private:
  using Task = std::packaged_task<Output()>;

  void consume_first() {
    try {
      while (in_flight_.front().wait_for(std::chrono::seconds(0)) != std::future_status::ready && work_along()) {
      }
      Output output = in_flight_.front().get();
      in_flight_.pop_front();
      consume_(std::move(output));
    } catch (...) {
      in_flight_.clear();
      throw;
    }
  }

  // False if all inputs are taken.
  bool work_along() {
    Task task;
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.empty()) return false;
      task = take_first();
    }
    task();
    return true;
  }

  void work() {
    for (;;) {
      Task task;
      {
        std::unique_lock lock(mutex_);
        work_arrived_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
        if (stopping_) return;
        task = take_first();
      }
      task();
    }
  }

  Task take_first() {
    Task task = std::move(waiting_.front());
    waiting_.pop_front();
    return task;
  }

  std::function<Output(Input)> transform_;
  std::function<void(Output)> consume_;
  std::size_t max_in_flight_;
  std::deque<std::future<Output>> in_flight_;
  std::mutex mutex_;
  std::condition_variable work_arrived_;
  std::deque<Task> waiting_;
  bool stopping_ = false;
  std::vector<std::jthread> workers_;  // last: joined before the rest goes
};

}  // namespace lockstep
