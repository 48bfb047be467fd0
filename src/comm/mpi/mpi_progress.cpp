#include "comm/mpi/mpi_progress.h"

#include <fmt/format.h>
#include <algorithm>
#include <utility>

namespace lockstep::comm {
namespace {

// Pause between two polls of a waiting thread: short compared with a message, long compared with the poll itself.
constexpr std::chrono::microseconds kRest{50};
// Pause of the background thread, whose polls delay the threads that compute. It doubles after each poll that finds
// nothing, as on slow networks, which the system's buffers keep busy meanwhile.
constexpr std::chrono::microseconds kShortestRest{500}, kLongestRest{4000};
// A waiting thread polls without a pause for this long: the gap between two pieces of a message.
constexpr std::chrono::microseconds kSpin{300};
// Number of collectives that advance at a time.
constexpr std::size_t kMoving = 2;

}  // namespace

struct MpiProgress::Entry {
  std::string name;
  std::unique_ptr<MpiOperation> operation;
  Clock::time_point begun = Clock::now();
  bool done = false;
  std::exception_ptr failure = nullptr;
};

class MpiProgress::Handle final : public PendingCollective {
 public:
  Handle(MpiProgress& progress, std::shared_ptr<Entry> entry) : progress_(progress), entry_(std::move(entry)) {}
  void wait() override { progress_.wait(*entry_); }

 private:
  MpiProgress& progress_;
  std::shared_ptr<Entry> entry_;
};

MpiProgress::MpiProgress(std::function<void(const std::string&)> on_late)
    : on_late_(std::move(on_late)), thread_([this] { work(); }) {}

MpiProgress::~MpiProgress() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_arrived_.notify_all();
}

std::shared_ptr<PendingCollective> MpiProgress::begin(std::string name,
                                                      const std::function<std::unique_ptr<MpiOperation>()>& make) {
  auto entry = std::make_shared<Entry>();
  entry->name = std::move(name);
  {
    const std::lock_guard lock(mutex_);
    entry->operation = make();
    in_flight_.push_back(entry);
    advance();
  }
  work_arrived_.notify_one();
  return std::make_shared<Handle>(*this, std::move(entry));
}

void MpiProgress::set_timeout(std::chrono::seconds timeout) {
  const std::lock_guard lock(mutex_);
  timeout_ = timeout;
}

void MpiProgress::set_activity(std::string activity) {
  const std::lock_guard lock(mutex_);
  activity_ = std::move(activity);
}

std::string MpiProgress::activity() {
  const std::lock_guard lock(mutex_);
  return activity_;
}

void MpiProgress::wait(Entry& entry) {
  std::unique_lock lock(mutex_);
  ++waiting_;
  auto spin_until = Clock::now() + kSpin;
  while (!entry.done) {
    if (advance()) spin_until = Clock::now() + kSpin;
    if (entry.done) break;
    lock.unlock();
    if (Clock::now() > spin_until) {
      std::this_thread::sleep_for(kRest);
    } else {
      std::this_thread::yield();  // to a rank that shares the core
    }
    lock.lock();
  }
  --waiting_;
  lock.unlock();
  work_arrived_.notify_one();
  if (entry.failure) std::rethrow_exception(std::exchange(entry.failure, nullptr));
}

void MpiProgress::work() {
  auto rest = kShortestRest;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (in_flight_.empty()) rest = kShortestRest;
    work_arrived_.wait(lock, [this] { return stopping_ || (!in_flight_.empty() && waiting_ == 0); });
    if (stopping_) return;
    const bool moved = advance();
    rest = std::clamp(moved ? rest / 2 : rest * 2, kShortestRest, kLongestRest);
    if (moved) continue;
    lock.unlock();
    std::this_thread::sleep_for(rest);
    lock.lock();
  }
}

// Only the first few collectives advance: they end sooner, and only they need memory.
bool MpiProgress::advance() {
  bool any_moved = false, any_ended = false;
  std::size_t moving = 0;
  for (const auto& entry : in_flight_) {
    try {
      if (++moving <= kMoving) {
        const MpiOperation::State state = entry->operation->advance();
        entry->done = state == MpiOperation::State::kDone;
        any_moved = any_moved || state != MpiOperation::State::kStuck;
      }
    } catch (...) {
      entry->failure = std::current_exception();
      entry->done = true;
    }
    if (entry->done) {
      // MPI may still write to an operation that failed, so it is kept.
      if (!entry->failure) entry->operation.reset();
      any_ended = true;
    } else {
      check_deadline(*entry);
    }
  }
  if (any_ended) std::erase_if(in_flight_, [](const auto& entry) { return entry->done; });
  return any_moved || any_ended;
}

void MpiProgress::check_deadline(const Entry& entry) {
  if (timeout_.count() == 0 || Clock::now() - entry.begun <= timeout_) return;
  const std::string where = activity_.empty() ? "" : activity_ + ": ";
  on_late_(fmt::format("{}{} did not end within collective_timeout_s: {}", where, entry.name, timeout_.count()));
}

}  // namespace lockstep::comm
