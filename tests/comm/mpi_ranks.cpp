// Run by mpirun with several ranks: exits with 0 on every rank if the collectives are right.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <unistd.h>
#include <cstdlib>
#include <string>
#include <string_view>

#include "lockstep/comm/agreement.h"
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

// What a rank is told of facts that differ: a message, "peer" if another rank has it, nothing if all agree.
std::string compare(Communicator& communicator, const lockstep::SharedFacts& facts) {
  try {
    lockstep::check_agreement(communicator, facts, "the remedy");
  } catch (const lockstep::PeerFailed&) {
    return "peer";
  } catch (const lockstep::InputError& error) {
    return error.what();
  }
  return "";
}

void check_facts(Communicator& communicator) {
  const int ranks = communicator.world_size();
  const bool is_last = communicator.rank() == ranks - 1;
  const auto expect_message = [&](const lockstep::SharedFacts& facts, int speaker, std::string_view message) {
    const std::string said = compare(communicator, facts);
    const bool is_right = communicator.rank() == speaker ? said.find(message) != std::string::npos : said == "peer";
    expect(is_right, communicator, fmt::format("check_agreement says '{}'", said));
  };
  const lockstep::SharedFacts facts = {{"rate", "1"}, {"seed", "2"}, {"\xff", "\xfe"}};
  expect(compare(communicator, facts).empty(), communicator, "check_agreement refuses what is alike");
  if (ranks == 1) return;

  lockstep::SharedFacts last = {{"rate", "1"}, {"seed", is_last ? "3" : "2"}, {"\xff", "\xfe"}};
  expect_message(last, ranks - 1, fmt::format("(rank {} with rank 0 on ", ranks - 1));
  expect_message(last, ranks - 1, ": seed: expected 2, found 3; the remedy");
  if (is_last) last = {{"rate", "1"}, {"other", "4"}, {"\xff", "\xfe"}};
  expect_message(last, ranks - 1, ": seed: expected 2, found none; other: expected none, found 4; the remedy");

  lockstep::SharedFacts first = facts;
  if (communicator.is_root()) first = {{"a", "1"}, {"b", "1"}, {"c", "1"}, {"rate", "0"}};
  expect_message(first, 1, ranks == 2 ? "(rank 1 with" : fmt::format("(all {} other ranks with", ranks - 1));
  expect_message(first, 1,
                 "a: expected 1, found none; b: expected 1, found none; c: expected 1, found none; and 3 more;");
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
  check_facts(*communicator);
  communicator->barrier();
  return EXIT_SUCCESS;
}
