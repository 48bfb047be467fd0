#include "lockstep/batching/step_inputs.h"

#include <chrono>
#include <utility>

namespace lockstep::batching {
namespace {

// The number of plans and batches prepared ahead. A batch is a few kilobytes, and preparing it takes far less time than
// computing it.
constexpr std::size_t kPrefetchedItems = 8;

}  // namespace

StepInputs::StepInputs(InputSource source, std::uint64_t first_step, std::uint64_t end_step)
    : source_(std::move(source)), thread_([this, first_step, end_step] { make(first_step, end_step); }) {}

StepInputs::~StepInputs() {
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void StepInputs::make(std::uint64_t first_step, std::uint64_t end_step) {
  try {
    for (std::uint64_t step = first_step; step < end_step; ++step) {
      StepPlan plan =
          plan_step(*source_.rows, source_.batches.at(step), source_.limits, source_.world_size, source_.cost);
      const std::vector<MicroBatch> own = plan.ranks[static_cast<std::size_t>(source_.rank)];
      if (!put(std::move(plan))) return;
      for (const MicroBatch& micro_batch : own) {
        if (!put(models::read_batch(*source_.rows, micro_batch.examples, source_.decoder_start_id, source_.pad_id)))
          return;
      }
    }
  } catch (...) {
    put(std::current_exception());
  }
}

bool StepInputs::put(Item item) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return is_over_ || items_.size() < kPrefetchedItems; });
  if (is_over_) return false;
  items_.push_back(std::move(item));
  changed_.notify_all();
  return true;
}

StepInputs::Item StepInputs::take() {
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !items_.empty(); });
  Item item = std::move(items_.front());
  items_.pop_front();
  changed_.notify_all();
  waited_s_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (const auto* error = std::get_if<std::exception_ptr>(&item)) std::rethrow_exception(*error);
  return item;
}

StepPlan StepInputs::next_plan() { return std::get<StepPlan>(take()); }

models::Batch StepInputs::next_batch() { return std::get<models::Batch>(take()); }

double StepInputs::take_wait_s() { return std::exchange(waited_s_, 0); }

}  // namespace lockstep::batching
