#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <utility>

#include "lockstep/core/worker_pool.h"

namespace lockstep::core {

/// Transforms inputs on a pool's threads and delivers the outputs in the order of the inputs. Must be used from the
/// thread that owns the pool. Several pipelines may share a pool, and one may push into another while it consumes.
template <typename Input, typename Output>
class OrderedPipeline {
 public:
  /// `transform` runs on any thread of the pool, so whatever it refers to must outlive the pool. `consume` runs on the
  /// caller's thread, within push() and finish(). At most `max_in_flight` inputs are in flight, which bounds memory.
  OrderedPipeline(WorkerPool& pool, std::size_t max_in_flight, std::function<Output(Input)> transform,
                  std::function<void(Output)> consume)
      : pool_(pool),
        transform_(std::make_shared<const std::function<Output(Input)>>(std::move(transform))),
        consume_(std::move(consume)),
        max_in_flight_(max_in_flight) {}

  /// Adds an input. Rethrows what `transform` threw for an earlier input, or `consume` for its output, and then drops
  /// the outputs of all inputs after it.
  void push(Input input) {
    // Shared because std::function must be copyable.
    const auto task = std::make_shared<std::packaged_task<Output()>>(
        [transform = transform_, moved = std::move(input)]() mutable { return (*transform)(std::move(moved)); });
    in_flight_.push_back(task->get_future());
    pool_.submit([task] { (*task)(); });
    if (in_flight_.size() >= max_in_flight_) consume_first();
  }

  /// Waits until all outputs are consumed. Throws as push() does.
  void finish() {
    while (!in_flight_.empty()) consume_first();
  }

 private:
  void consume_first() {
    try {
      while (in_flight_.front().wait_for(std::chrono::seconds(0)) != std::future_status::ready &&
             pool_.run_one_task()) {
      }
      Output output = in_flight_.front().get();
      in_flight_.pop_front();
      consume_(std::move(output));
    } catch (...) {
      in_flight_.clear();
      throw;
    }
  }

  WorkerPool& pool_;
  std::shared_ptr<const std::function<Output(Input)>> transform_;
  std::function<void(Output)> consume_;
  std::size_t max_in_flight_;
  std::deque<std::future<Output>> in_flight_;
};

}  // namespace lockstep::core
