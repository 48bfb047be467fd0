#include "lockstep/comm/communicator.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <exception>
#include <iterator>
#include <utility>

#include "lockstep/comm/agreement.h"
#include "lockstep/comm/mpi/mpi_communicator.h"
#include "lockstep/core/stop_flag.h"

namespace lockstep::comm {
namespace {

class Done final : public PendingCollective {
 public:
  void wait() override {}
};

// A job of one process.
class SingleProcess final : public Communicator {
 public:
  int rank() const override { return 0; }
  int world_size() const override { return 1; }
  int local_rank() const override { return 0; }
  int cores_per_rank() const override {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    return ::sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
  }
  void all_reduce_sum(at::Tensor) override {}
  std::shared_ptr<PendingCollective> begin_all_reduce_sum(at::Tensor, std::string) override { return done_; }
  std::shared_ptr<PendingCollective> begin_reduce_scatter_sum(at::Tensor, std::string) override { return done_; }
  std::shared_ptr<PendingCollective> begin_all_gather(at::Tensor, std::string) override { return done_; }
  void broadcast_from_root(at::Tensor) override {}
  void barrier() override {}
  void set_timeout(std::chrono::seconds) override {}
  void set_activity(std::string activity) override { activity_ = std::move(activity); }
  std::string activity() const override { return activity_; }
  [[noreturn]] void abort(int exit_code) override { ::_exit(exit_code); }

 private:
  const std::shared_ptr<PendingCollective> done_ = std::make_shared<Done>();
  std::string activity_;
};

}  // namespace

Range range_of(std::int64_t elements, int rank, int world_size) {
  constexpr std::int64_t kUnit = 16;
  const std::int64_t units = (elements + kUnit - 1) / kUnit;
  const auto border = [&](int ranks) { return std::min(elements, units * ranks / world_size * kUnit); };
  return {border(rank), border(rank + 1)};
}

std::shared_ptr<Communicator> make_communicator() {
  const core::LaunchEnvironment environment;
  if (environment.launched_by_mpi()) {
    auto communicator = std::make_shared<MpiCommunicator>();
    check_world_size(communicator->world_size());
    return communicator;
  }
  const auto launched = environment.ranks();
  if (launched && launched->size > 1) {
    throw_unless_first_process(*launched);
    throw InputError(
        fmt::format("srun started {} tasks without MPI: each would train on its own and all would write the same "
                    "results; use srun --mpi=pmix (srun --mpi=list shows the options), or mpirun",
                    launched->size));
  }
  return std::make_shared<SingleProcess>();
}

void run_on_all(Communicator& communicator, const std::function<void()>& work) {
  std::exception_ptr failure;
  std::string stop;  // why this rank stops
  try {
    work();
  } catch (const core::Stopped& stopped) {
    stop = stopped.what();
  } catch (...) {
    failure = std::current_exception();
  }
  at::Tensor ended = at::zeros({2, communicator.world_size()}, at::kLong);
  const at::Tensor failed = ended[0], stopped = ended[1];
  if (failure) failed[communicator.rank()] = 1;
  if (!stop.empty()) stopped[communicator.rank()] = 1;
  communicator.all_reduce_sum(ended);
  if (failed.any().item<bool>()) {
    const auto first = failed.argmax().item<std::int64_t>();
    if (first == communicator.rank()) std::rethrow_exception(failure);
    throw PeerFailed(fmt::format("rank {} failed", first));
  }
  if (stopped.any().item<bool>()) {
    const auto texts = all_gather_texts(communicator, stop);
    throw core::Stopped(texts[static_cast<std::size_t>(stopped.argmax().item<std::int64_t>())]);
  }
}

std::string broadcast_text(Communicator& communicator, const std::string& text) {
  at::Tensor size = at::scalar_tensor(static_cast<std::int64_t>(text.size()), at::kLong);
  communicator.broadcast_from_root(size);
  std::string result =
      communicator.is_root() ? text : std::string(static_cast<std::size_t>(size.item<std::int64_t>()), '\0');
  communicator.broadcast_from_root(
      at::from_blob(result.data(), {static_cast<std::int64_t>(result.size())}, at::TensorOptions(at::kByte)));
  return result;
}

std::vector<std::string> all_gather_texts(Communicator& communicator, const std::string& text) {
  at::Tensor sizes = at::zeros({communicator.world_size()}, at::kLong);
  sizes[communicator.rank()] = static_cast<std::int64_t>(text.size());
  communicator.all_reduce_sum(sizes);
  const at::Tensor ends = sizes.cumsum(0);
  const auto begin_of = [&](std::int64_t rank) { return rank == 0 ? 0 : ends[rank - 1].item<std::int64_t>(); };
  // Each rank fills in its own range of zeros, one byte per int64.
  at::Tensor bytes = at::zeros({ends[-1].item<std::int64_t>()}, at::kLong);
  std::copy(text.begin(), text.end(), bytes.data_ptr<std::int64_t>() + begin_of(communicator.rank()));
  communicator.all_reduce_sum(bytes);
  std::vector<std::string> texts;
  const std::int64_t* numbers = bytes.data_ptr<std::int64_t>();
  for (int rank = 0; rank < communicator.world_size(); ++rank) {
    std::string& of_rank = texts.emplace_back();
    std::transform(numbers + begin_of(rank), numbers + begin_of(rank + 1), std::back_inserter(of_rank),
                   [](std::int64_t number) { return static_cast<char>(number); });
  }
  return texts;
}

std::string describe_rank(const Communicator& communicator) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return fmt::format("rank {} on {}", communicator.rank(), host.data());
}

}  // namespace lockstep::comm
