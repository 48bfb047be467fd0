// Run by mpirun with one GPU per rank. Exits with 0 on every rank if NCCL's collectives are right and run after the
// kernels that write their tensors and before those that read them.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/comm/compute_device.h"

namespace {

using lockstep::Communicator;

void expect(bool condition, const Communicator& communicator, std::string_view what) {
  if (condition) return;
  fmt::print(stderr, "{}: {}\n", lockstep::comm::describe_rank(communicator), what);
  std::exit(EXIT_FAILURE);
}

// Returns small whole numbers, which no type rounds, computed after slow kernels.
at::Tensor slow_values(std::int64_t size, at::ScalarType type, at::Device device, int factor) {
  at::Tensor busy = at::ones({1024, 1024}, at::TensorOptions(device));
  for (int i = 0; i < 10; ++i) busy = at::matmul(busy, busy) / 1024;
  const at::Tensor values = at::arange(size, at::TensorOptions(at::kLong).device(device)).remainder(7) * factor;
  return (values + (busy[0][0] - 1).to(at::kLong)).to(type);
}

void check(Communicator& communicator, at::Device device, std::int64_t size, at::ScalarType type) {
  const int ranks = communicator.world_size();
  const std::string of = fmt::format(" of {} {} is wrong", size, toString(type));
  const lockstep::comm::Range part = lockstep::comm::range_of(size, communicator.rank(), ranks);
  const auto own = [&](const at::Tensor& tensor) { return tensor.narrow(0, part.begin, part.size()); };
  const at::Tensor mine = slow_values(size, type, device, communicator.rank() + 1);
  const at::Tensor sum = slow_values(size, type, device, ranks * (ranks + 1) / 2);
  at::Tensor reduced = mine.clone(), scattered = mine.clone(), sent = mine.clone(), gathered = at::zeros_like(mine);
  own(gathered).copy_(own(sum));
  const std::vector pending = {communicator.begin_all_reduce_sum(reduced, "a sum"),
                               communicator.begin_reduce_scatter_sum(scattered, "a scattered sum"),
                               communicator.begin_all_gather(gathered, "a gathering")};
  communicator.broadcast_from_root(sent);
  for (const auto& collective : pending) collective->wait();
  expect(reduced.equal(sum), communicator, "all_reduce_sum" + of);
  expect(own(scattered).equal(own(sum)), communicator, "reduce_scatter_sum" + of);
  expect(gathered.equal(sum), communicator, "all_gather" + of);
  expect(sent.equal(slow_values(size, type, device, 1)), communicator, "broadcast_from_root" + of);
}

void check_all(bool is_small) {
  const auto host = lockstep::make_communicator();
  const at::Device device = lockstep::comm::compute_device_of_rank(lockstep::job::DeviceChoice::kCuda, *host);
  const auto communicator = lockstep::comm::make_communicator_for(device, host, std::chrono::seconds(60));
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble, at::kLong}) {
    for (const std::int64_t size : {1, 15, 33, 4096, 70'001, 6'553'600, 5'000'017}) {
      if (size <= 4096 || !is_small) check(*communicator, device, size, type);
    }
  }
  communicator->barrier();
  if (communicator->is_root()) fmt::print("NCCL: {} ranks, all collectives right\n", communicator->world_size());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    check_all(argc > 1 && std::string_view(argv[1]) == "--small");  // for tools that slow everything down
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
