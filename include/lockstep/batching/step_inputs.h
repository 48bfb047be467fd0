#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>

#include "lockstep/batching/batch_plan.h"
#include "lockstep/batching/global_batches.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/models/batch.h"

namespace lockstep::batching {

/// What a rank's batches are made from.
struct InputSource {
  std::shared_ptr<const TokenizedDataset> rows;
  GlobalBatches batches;
  MicroBatchLimits limits;
  BatchCost cost;
  int rank = 0, world_size = 1;
  TokenId decoder_start_id = 0, pad_id = 0;
};

/// Produces the plans of a rank's steps and the batches of its micro-batches, in order. A thread prepares a few of them
/// ahead, so that the rank does not wait for files while it computes.
class StepInputs {
 public:
  /// Covers the steps from `first_step`, counted from 0, up to but not including `end_step`.
  StepInputs(InputSource source, std::uint64_t first_step, std::uint64_t end_step);
  /// Stops the thread and discards what it has prepared.
  ~StepInputs();
  StepInputs(const StepInputs&) = delete;
  StepInputs& operator=(const StepInputs&) = delete;

  /// Returns the plan of the next step, waiting for it if necessary. Rethrows an exception of the thread that prepares
  /// it.
  StepPlan next_plan();
  /// Returns the batch of this rank's next micro-batch in that plan, waiting and rethrowing as next_plan() does.
  models::Batch next_batch();
  /// Returns how many seconds next_plan() and next_batch() have waited since the last call.
  double take_wait_s();

 private:
  using Item = std::variant<StepPlan, models::Batch, std::exception_ptr>;

  void make(std::uint64_t first_step, std::uint64_t end_step);
  /// Returns false if the object is being destroyed.
  bool put(Item item);
  Item take();

  InputSource source_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;  // guarded by mutex_, like is_over_
  bool is_over_ = false;
  double waited_s_ = 0;
  std::thread thread_;
};

}  // namespace lockstep::batching
