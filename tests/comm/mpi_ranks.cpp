// Run by mpirun with several ranks: exits with 0 on every rank if the collectives are right.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <unistd.h>
#include <cstdlib>
#include <string_view>

#include "lockstep/comm/communicator.h"

namespace {

using lockstep::Communicator;

void expect(bool condition, const Communicator& communicator, std::string_view what) {
  if (condition) return;
  fmt::print(stderr, "{}: {}\n", lockstep::describe_rank(communicator), what);
  std::exit(EXIT_FAILURE);
}

void check_sums(Communicator& communicator) {
  const int ranks = communicator.world_size();
  for (const auto type : {at::kFloat, at::kDouble, at::kLong}) {
    // Longer than one message, so that the cut into messages is tried too.
    const at::Tensor values = at::arange((std::int64_t{1} << 24) + 5, at::kLong).remainder(97).to(type);
    at::Tensor sum = values * (communicator.rank() + 1);
    communicator.all_reduce_sum(sum);
    expect(sum.equal(values * (ranks * (ranks + 1) / 2)), communicator, "all_reduce_sum is wrong");
  }
}

void check_broadcast(Communicator& communicator) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kByte}) {
    // Longer than one message, so that the cut into messages is tried too.
    const at::Tensor values = at::arange((std::int64_t{1} << 26) + 5, at::kInt).remainder(97).to(type);
    at::Tensor received = communicator.is_root() ? values.clone() : at::zeros_like(values);
    communicator.broadcast_from_root(received);
    expect(received.equal(values), communicator, "broadcast_from_root is wrong");
  }
}

void check_agreement(Communicator& communicator) {
  bool failed_here = false, failed_elsewhere = false;
  try {
    lockstep::run_on_all(communicator, [&] {
      if (communicator.rank() == communicator.world_size() - 1) throw lockstep::InputError("reason");
    });
  } catch (const lockstep::PeerFailed&) {
    failed_elsewhere = true;
  } catch (const lockstep::InputError&) {
    failed_here = true;
  }
  const bool is_last = communicator.rank() == communicator.world_size() - 1;
  expect(is_last ? failed_here : failed_elsewhere, communicator, "run_on_all does not agree on the failure");
}

void check_text(Communicator& communicator) {
  const std::string text = communicator.is_root() ? "\xc3\xa4 of rank 0" : "of another rank";
  expect(lockstep::text_of_root(communicator, text) == "\xc3\xa4 of rank 0", communicator, "text_of_root is wrong");
  expect(lockstep::text_of_root(communicator, "").empty(), communicator, "text_of_root is wrong for no text");
}

}  // namespace

int main(int argc, char** argv) {
  const auto communicator = lockstep::make_communicator();
  expect(argc == 2 && communicator->world_size() == std::atoi(argv[1]), *communicator, "world_size is wrong");
  expect(communicator->cores_per_rank() >= 1, *communicator, "cores_per_rank is wrong");
  check_sums(*communicator);
  check_broadcast(*communicator);
  check_agreement(*communicator);
  check_text(*communicator);
  communicator->barrier();
  return EXIT_SUCCESS;
}
