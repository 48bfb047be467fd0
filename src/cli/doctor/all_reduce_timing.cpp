#include "cli/doctor/all_reduce_timing.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <chrono>

namespace lockstep::cli {
namespace {

double seconds_of_one(Communicator& communicator, const at::Tensor& tensor, std::int64_t times) {
  communicator.barrier();
  const auto start = std::chrono::steady_clock::now();
  for (std::int64_t i = 0; i < times; ++i) communicator.all_reduce_sum(tensor);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  at::Tensor of_ranks = at::zeros({communicator.world_size()}, at::kDouble);
  of_ranks[communicator.rank()] = taken.count() / static_cast<double>(times);
  communicator.all_reduce_sum(of_ranks);
  return of_ranks.max().item<double>();
}

}  // namespace

std::vector<AllReduceTiming> time_all_reduce(Communicator& communicator, const std::vector<std::uint64_t>& sizes,
                                             double seconds) {
  constexpr std::int64_t kTrials = 2, kMostTimes = 10'000;
  std::vector<AllReduceTiming> timings;
  for (const std::uint64_t bytes : sizes) {
    const auto elements = static_cast<std::int64_t>((bytes + sizeof(float) - 1) / sizeof(float));
    const at::Tensor tensor = at::zeros({elements}, at::kFloat);
    seconds_of_one(communicator, tensor, 1);  // warm-up: the first message of a size allocates buffers
    const double guess = seconds_of_one(communicator, tensor, kTrials);
    const auto times = static_cast<std::int64_t>(seconds / std::max(guess, 1e-9));
    timings.push_back({static_cast<std::uint64_t>(elements) * sizeof(float),
                       seconds_of_one(communicator, tensor, std::clamp(times, kTrials, kMostTimes))});
  }
  return timings;
}

double bus_bandwidth(const AllReduceTiming& timing, int ranks) {
  return static_cast<double>(timing.bytes) / timing.seconds * 2 * (ranks - 1) / ranks;
}

}  // namespace lockstep::cli
