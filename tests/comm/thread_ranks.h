#pragma once

#include <ATen/ATen.h>
#include <unistd.h>
#include <barrier>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lockstep/comm/communicator.h"

namespace lockstep::comm {

/// Ranks that are threads of the test, with as much of the host communicator as NcclCommunicator needs. Rejects device
/// memory, on which MPI would crash.
class ThreadRank final : public Communicator {
 public:
  /// State that the ranks share.
  struct Shared {
    explicit Shared(int ranks) : tensors(static_cast<std::size_t>(ranks)), meeting(ranks) {}
    std::vector<at::Tensor> tensors;
    std::barrier<> meeting;
  };

  ThreadRank(std::shared_ptr<Shared> shared, int rank) : shared_(std::move(shared)), rank_(rank) {}

  int rank() const override { return rank_; }
  int world_size() const override { return static_cast<int>(shared_->tensors.size()); }
  int local_rank() const override { return rank_; }
  int cores_per_rank() const override { return 1; }

  void all_reduce_sum(at::Tensor tensor) override {
    share(tensor);
    at::Tensor sum = at::zeros_like(tensor);
    for (const at::Tensor& of_rank : shared_->tensors) sum += of_rank;
    shared_->meeting.arrive_and_wait();
    tensor.copy_(sum);
    shared_->meeting.arrive_and_wait();
  }
  void broadcast_from_root(at::Tensor tensor) override {
    share(tensor);
    if (!is_root()) tensor.copy_(shared_->tensors.front());
    shared_->meeting.arrive_and_wait();
  }
  void barrier() override { shared_->meeting.arrive_and_wait(); }

  std::shared_ptr<PendingCollective> begin_all_reduce_sum(at::Tensor tensor, std::string) override {
    return at_once(std::move(tensor));
  }
  std::shared_ptr<PendingCollective> begin_reduce_scatter_sum(at::Tensor tensor, std::string) override {
    return at_once(std::move(tensor));
  }
  std::shared_ptr<PendingCollective> begin_all_gather(at::Tensor tensor, std::string) override {
    return at_once(std::move(tensor));
  }
  void set_timeout(std::chrono::seconds) override {}
  void set_activity(std::string activity) override { activity_ = std::move(activity); }
  std::string activity() const override { return activity_; }
  [[noreturn]] void abort(int exit_code) override { ::_exit(exit_code); }

  int started = 0;  // collectives begun by this rank

 private:
  class Done final : public PendingCollective {
   public:
    void wait() override {}
  };

  void share(const at::Tensor& tensor) {
    if (!tensor.is_cpu()) throw std::logic_error("the memory of a device has reached the host's communicator");
    shared_->tensors[static_cast<std::size_t>(rank_)] = tensor;
    shared_->meeting.arrive_and_wait();
  }
  std::shared_ptr<PendingCollective> at_once(at::Tensor tensor) {
    ++started;
    all_reduce_sum(std::move(tensor));
    return std::make_shared<Done>();
  }

  std::shared_ptr<Shared> shared_;
  std::string activity_;
  int rank_;
};

/// Runs `work` in one thread per rank.
inline void run_ranks(int ranks, const std::function<void(const std::shared_ptr<ThreadRank>&)>& work) {
  const auto shared = std::make_shared<ThreadRank::Shared>(ranks);
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&work, shared, rank] { work(std::make_shared<ThreadRank>(shared, rank)); });
  }
}

}  // namespace lockstep::comm
