#include "comm/nccl/stand_in_cuda.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

struct CUstream_st {
  explicit CUstream_st(int its_priority) : priority(its_priority), worker([this] { work(); }) {}

  // Waits until everything on the stream is done.
  ~CUstream_st() {
    add([this] { stopping = true; });
    worker.join();
  }

  void add(std::function<void()> task) {
    {
      const std::lock_guard lock(mutex);
      tasks.push_back(std::move(task));
    }
    arrived.notify_one();
  }

  void work() {
    while (!stopping) {
      std::unique_lock lock(mutex);
      arrived.wait(lock, [this] { return !tasks.empty(); });
      const auto task = std::move(tasks.front());
      tasks.pop_front();
      lock.unlock();
      task();
    }
  }

  static inline std::atomic<int> made{0};
  const int number = made++;
  const int priority;
  std::mutex mutex;
  std::condition_variable arrived;
  std::deque<std::function<void()>> tasks;
  bool stopping = false;  // used only by the worker
  std::thread worker;     // last: starts once the other members exist
};

struct CUevent_st {
  struct State {
    std::mutex mutex;
    std::condition_variable moved;
    int recorded = 0;  // number of records
    int reached = 0;   // the latest record that its stream has reached
  };
  std::shared_ptr<State> state = std::make_shared<State>();
};

namespace stand_in {
namespace {

thread_local CallLog* current_log = nullptr;

}  // namespace

CallLog::CallLog() { current_log = this; }

CallLog::~CallLog() { current_log = nullptr; }

void log_call(std::string call) {
  if (current_log != nullptr) current_log->calls_.push_back(std::move(call));
}

CudaFaults& cuda_faults() {
  static CudaFaults faults;
  return faults;
}

void run_on(cudaStream_t stream, std::function<void()> kernel) { stream->add(std::move(kernel)); }

void drain(cudaStream_t stream) {
  std::mutex mutex;
  std::condition_variable ended;
  bool is_done = false;
  stream->add([&] {
    const std::lock_guard lock(mutex);
    is_done = true;
    ended.notify_one();
  });
  std::unique_lock lock(mutex);
  ended.wait(lock, [&] { return is_done; });
}

std::string name_of(cudaStream_t stream) {
  return "stream " + std::to_string(stream->number) + " of priority " + std::to_string(stream->priority);
}

}  // namespace stand_in

cudaError_t cudaSetDevice(int) { return cudaSuccess; }

cudaError_t cudaGetLastError() { return cudaSuccess; }

const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorIllegalAddress ? "an illegal memory access was encountered" : "an error of the stand-in";
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* lowest, int* highest) {
  *lowest = 0;
  *highest = stand_in::kHighestPriority;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned int flags, int priority) {
  if (flags != cudaStreamNonBlocking) return cudaErrorInvalidValue;
  *stream = new CUstream_st(priority);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int flags) {
  if (flags != cudaEventDisableTiming) return cudaErrorInvalidValue;
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  stand_in::log_call("record " + stand_in::name_of(stream));
  const std::shared_ptr<CUevent_st::State> state = event->state;
  int place = 0;
  {
    const std::lock_guard lock(state->mutex);
    place = ++state->recorded;
  }
  stream->add([state, place] {
    const std::lock_guard lock(state->mutex);
    state->reached = place;
    state->moved.notify_all();
  });
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (const cudaError_t fault = stand_in::cuda_faults().of_event_query; fault != cudaSuccess) return fault;
  const std::lock_guard lock(event->state->mutex);
  return event->state->reached == event->state->recorded ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int) {
  stand_in::log_call("hold back " + stand_in::name_of(stream));
  const std::shared_ptr<CUevent_st::State> state = event->state;
  int place = 0;
  {
    const std::lock_guard lock(state->mutex);
    place = state->recorded;
  }
  stream->add([state, place] {
    std::unique_lock lock(state->mutex);
    state->moved.wait(lock, [&] { return state->reached >= place; });
  });
  return cudaSuccess;
}
