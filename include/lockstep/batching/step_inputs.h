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

/// What a rank's batches are made of.
struct InputSource {
  std::shared_ptr<const TokenizedDataset> rows;
  GlobalBatches batches;
  MicroBatchLimits limits;
  BatchCost cost;
  int rank = 0, world_size = 1;
  TokenId decoder_start_id = 0, pad_id = 0;
};

/// The plans of a rank's steps, and the batches of its micro-batches, in their order. A thread makes them ahead, a few
/// batches, so that the rank need not wait for files while it computes.
class StepInputs {
 public:
  /// Of the steps from `first_step`, counted from 0, up to `end_step`.
  StepInputs(InputSource source, std::uint64_t first_step, std::uint64_t end_step);
  /// Leaves what is under way.
  ~StepInputs();
  StepInputs(const StepInputs&) = delete;
  StepInputs& operator=(const StepInputs&) = delete;

  /// The next step's. Throws what its making threw, as next_batch() does.
  StepPlan next_plan();
  /// Of the next of this rank's micro-batches in that plan.
  models::Batch next_batch();
  /// For how long they waited since it was last asked.
  double take_waited_s();

 private:
  using Item = std::variant<StepPlan, models::Batch, std::exception_ptr>;

  void make(std::uint64_t first_step, std::uint64_t end_step);
  /// False if nobody wants more.
  bool put(Item item);
  Item take();

  InputSource source_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;  // guarded by mutex_, as is the next
  bool is_over_ = false;
  double waited_s_ = 0;
  std::thread thread_;
};

}  // namespace lockstep::batching
